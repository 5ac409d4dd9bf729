"""Where the workspace lies, as the environment says it. No Django: the supervisor asks before it starts anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_EXPECTED = "Expected file:///folder or s3://bucket/prefix"


def workspace_storage(environment: Mapping[str, str], *, folder: Path) -> dict[str, Any]:
    """The entry in STORAGES: what DLM_WORKSPACE_URL names, else `folder`.

    The address and the key of a bucket come from DLM_WORKSPACE_…, else from the standard AWS_… variables, else (no
    key at all) from what the machine itself is allowed to do (~/.aws, a role of the instance).

    Raises:
        ValueError: it names none; the message says what is expected.
    """
    given = environment.get("DLM_WORKSPACE_URL", "")
    url = urlsplit(given)
    if "@" in url.netloc:
        raise ValueError(
            "DLM_WORKSPACE_URL holds a key. Set it in DLM_WORKSPACE_ACCESS_KEY and DLM_WORKSPACE_SECRET_KEY, "
            f"which are not shown anywhere. {_EXPECTED}."
        )
    if not given:
        return _local(folder)
    if url.scheme == "file":
        if url.netloc or not url.path.startswith("/"):
            raise ValueError(f"DLM_WORKSPACE_URL={given} is no folder of this machine. {_EXPECTED}.")
        return _local(Path(unquote(url.path)))
    if url.scheme != "s3":
        raise ValueError(f"DLM_WORKSPACE_URL={given} has an unknown scheme. {_EXPECTED}.")
    if not url.netloc or url.query or url.fragment:
        raise ValueError(f"DLM_WORKSPACE_URL={given} does not name a bucket. {_EXPECTED}.")
    return _bucket(environment, bucket=url.netloc, prefix=unquote(url.path).strip("/"))


def local_folder(storage: Mapping[str, Any]) -> Path | None:
    """The folder of a workspace on this machine."""
    return storage["OPTIONS"].get("location") if storage["BACKEND"].endswith("LocalWorkspace") else None


def _local(folder: Path) -> dict[str, Any]:
    return {
        "BACKEND": "dlmodeler_site.storage.LocalWorkspace",
        "OPTIONS": {"location": folder, "file_permissions_mode": 0o600},
    }


def _bucket(environment: Mapping[str, str], *, bucket: str, prefix: str) -> dict[str, Any]:
    def first(*names: str) -> str | None:
        return next((environment[name] for name in names if environment.get(name)), None)

    endpoint = first("DLM_WORKSPACE_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f"DLM_WORKSPACE_ENDPOINT={endpoint} is no address. Expected one like https://s3.example.org.")
    if environment.get("DLM_WORKSPACE_ACCESS_KEY"):
        access, secret, token = first("DLM_WORKSPACE_ACCESS_KEY"), first("DLM_WORKSPACE_SECRET_KEY"), None
    else:
        access, secret, token = first("AWS_ACCESS_KEY_ID"), first("AWS_SECRET_ACCESS_KEY"), first("AWS_SESSION_TOKEN")
    if bool(access) != bool(secret):
        raise ValueError(
            "The key to the workspace's bucket is half there. Set both DLM_WORKSPACE_ACCESS_KEY and "
            "DLM_WORKSPACE_SECRET_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or none of them."
        )
    return {
        "BACKEND": "dlmodeler_site.storage_s3.S3Workspace",
        "OPTIONS": {
            "bucket_name": bucket,
            "location": prefix,
            "endpoint_url": endpoint,
            "region_name": first("DLM_WORKSPACE_REGION", "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
            "access_key": access,
            "secret_key": secret,
            "security_token": token,
        },
    }
