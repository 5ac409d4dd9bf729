"""What an object storage's refusals mean, in words for whoever made the connection."""

from __future__ import annotations

import html
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from dlmodeler_site.errors import UserError
from dlmodeler_site.outside import PrivateAddress
from dlmodeler_site.sentences import Sentence as _

if TYPE_CHECKING:
    from datasets.object_storage import Access

_MISREGIONED = (
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "IllegalLocationConstraintException",
    "IncorrectEndpoint",
    "PermanentRedirect",
    "TemporaryRedirect",
    "301",
    "307",
)
_EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "403")
_BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling")


class NotS3(Exception):
    """What answers is something else."""


def refusal(access: Access, bucket: str, response: dict[str, Any], *, writing: bool = False) -> UserError:
    """What an error that botocore was answered means."""
    metadata, error = response.get("ResponseMetadata", {}), response.get("Error", {})
    told = {name: str(error.get(name, "")) for name in ("Code", "Message", "Region")}
    told["Region"] = told["Region"] or metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
    return _meaning(access, bucket, told, int(metadata.get("HTTPStatusCode", 0)), writing=writing)


def refused_fetch(access: Access, bucket: str, status: int, body: bytes) -> UserError:
    """What an error that an object's address answered means."""
    return _meaning(access, bucket, told_in(body), status)


def told_in(body: bytes) -> dict[str, str]:
    """Code, Message and Region of an error as S3 writes it; "" where it does not."""
    text = body[:10_000].decode(errors="replace")
    found = {name: re.search(f"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message", "Region")}
    return {name: html.unescape(match[1]) if match else "" for name, match in found.items()}


def _meaning(access: Access, bucket: str, told: dict[str, str], status: int, *, writing: bool = False) -> UserError:
    code = told["Code"] or str(status)
    if code == "InvalidAccessKeyId":
        return UserError(
            _(
                "The object storage does not know the access key “%(key)s”: it is mistyped or was deleted.",
                key=access.access_key,
            ),
            reason="unknown_access_key",
            field="access_key",
        )
    if code == "SignatureDoesNotMatch":
        return UserError(
            _("The secret key does not belong to the access key “%(key)s”. Copy both again.", key=access.access_key),
            reason="wrong_secret_key",
            field="secret_key",
        )
    if code in _EXPIRED:
        return UserError(
            _("The access key “%(key)s” has expired. Make a new one, and give it here.", key=access.access_key),
            reason="expired_key",
            field="access_key",
        )
    if code in _SKEWED:
        return UserError(
            _(
                "The clocks of this site and of the object storage differ by more than the 15 minutes that it allows. "
                "Ask the operator to set the clock."
            ),
            reason="clock_skew",
        )
    if code in ("NoSuchBucket", "InvalidBucketName") or (code == "404" and bucket):
        return no_such_bucket(bucket)
    if code in _MISREGIONED or (code == "400" and told["Region"]):
        return _wrong_region(access, bucket, told["Region"])
    if code in _DENIED or status == 403:
        return _denied(access, bucket, writing=writing)
    if code in _BUSY or status >= 500:
        return UserError(
            _("The object storage is busy or out of order (%(code)s). Try again in a while.", code=code),
            reason="storage_unavailable",
            status=503,
        )
    if not told["Code"]:
        return _no_s3(_("it answered with status %(status)d", status=status))
    return UserError(
        _("The object storage refused: %(message)s (%(code)s).", message=told["Message"][:500] or "–", code=code),
        reason="storage_refused",
    )


def no_such_bucket(bucket: str) -> UserError:
    return UserError(
        _("There is no bucket “%(bucket)s” in this object storage. Choose one that exists.", bucket=bucket[:100]),
        reason="no_such_bucket",
        field="bucket",
    )


def no_such_object(path: str) -> UserError:
    return UserError(
        _("There is no object “%(path)s” in this object storage. It may have been deleted or renamed.", path=path),
        reason="no_such_object",
        field="keys",
    )


def _denied(access: Access, bucket: str, *, writing: bool) -> UserError:
    if not bucket:
        message = _(
            "The access key “%(key)s” may not list the buckets. Name the bucket in the connection.",
            key=access.access_key,
        )
        return UserError(message, reason="access_denied", field="bucket")
    values = {"key": access.access_key, "bucket": bucket}
    if writing:
        message = _(
            "The access key “%(key)s” may not write to the bucket “%(bucket)s”. Give it the right to put objects, or "
            "choose another place.",
            **values,
        )
    else:
        message = _(
            "The access key “%(key)s” may not read the bucket “%(bucket)s”. Give it the rights to list the bucket and "
            "to get objects.",
            **values,
        )
    return UserError(message, reason="access_denied", field="prefix" if writing else "bucket")


def _wrong_region(access: Access, bucket: str, region: str) -> UserError:
    values = {"bucket": bucket or "–", "region": access.region or "–"}
    if region and region != access.region:
        message = _(
            "The bucket “%(bucket)s” is in the region %(right)s, not in “%(region)s”. Set the region to %(right)s.",
            right=region,
            **values,
        )
    else:
        message = _("The bucket “%(bucket)s” is not in the region “%(region)s”. Set the bucket's region.", **values)
    return UserError(message, reason="wrong_region", field="region")


def _no_s3(what: str) -> UserError:
    return UserError(
        _("What answers at the endpoint is no S3 object storage: %(what)s. Check the endpoint.", what=what),
        reason="not_s3",
        field="endpoint",
    )


def trouble(url: str, error: Exception) -> UserError:
    """Why no answer came from the endpoint at `url`, or none that S3 gives."""
    from botocore.exceptions import BotoCoreError, ParamValidationError

    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    values = {"endpoint": url, "host": urlsplit(url).hostname or ""}
    if isinstance(error, PrivateAddress):
        return UserError(
            _(
                "%(host)s leads into the private network (%(address)s), where connections may lead only if the "
                "operator names the endpoint in full in DLM_S3_ENDPOINTS: %(endpoint)s",
                address=error.address,
                **values,
            ),
            reason="endpoint_private",
            field="endpoint",
        )
    if isinstance(error, urllib3.exceptions.SSLError | ssl.SSLError):
        return UserError(
            _("%(endpoint)s cannot be trusted: %(what)s", what=_plain(error), **values), reason="tls", field="endpoint"
        )
    if isinstance(error, socket.gaierror | urllib3.exceptions.NameResolutionError):
        return UserError(
            _("There is no server named %(host)s. Check the endpoint.", **values),
            reason="unreachable",
            field="endpoint",
        )
    if isinstance(error, ParamValidationError):
        return UserError(
            _("The object storage cannot be asked for this: %(what)s", what=_plain(error)), reason="invalid_name"
        )
    if isinstance(error, NotS3):
        return _no_s3(_("it answered with a page for people"))
    if isinstance(error, BotoCoreError):
        return _no_s3(_plain(error))
    return UserError(
        _("%(endpoint)s does not answer: %(what)s. Try again, or check the endpoint.", what=_plain(error), **values),
        reason="unreachable",
        field="endpoint",
        status=503,
    )


def _plain(error: Exception) -> str:
    """The last words of an error: what is before them are names of our own objects."""
    return str(error).rpartition(": ")[2].strip("()' ")[:300] or type(error).__name__
