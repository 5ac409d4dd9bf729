"""Small objects in half the time that the S3 client takes, which is what 100,000 of them need most of it for.

Only the way that all goes well: whatever else happens is left to the client, which tries again, knows redirects and
says what is wrong.
"""

from typing import Any
from urllib.parse import quote, urlsplit

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

SMALL_BYTES = 1 << 20


class QuickObjects:
    """The small objects of a bucket, put, copied and got with the key of an S3 client's session; for all threads."""

    def __init__(self, session: Any, client: Any, bucket: str, *, connections: int) -> None:
        self._bucket = bucket
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._is_usable = self._credentials is not None
        if self._is_usable:
            address = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "x"}))
            self._base = f"{address.scheme}://{address.netloc}{address.path.removesuffix('x')}"
            self._is_usable = not get_environ_proxies(self._base)
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            timeout=urllib3.Timeout(connect=5, read=60),
            retries=False,
            ca_certs=get_cert_path(session._session.get_config_variable("ca_bundle") or True),
        )

    def put(self, key: str, content: bytes, *, content_type: str) -> bool:
        """Whether the object is there now."""
        return self._ask("PUT", key, content, {"Content-Type": content_type}) is not None

    def copy(self, key: str, new_key: str) -> bool:
        """Whether the object is under the new key as well now."""
        source = quote(f"/{self._bucket}/{key}", safe="/~")
        answer = self._ask("PUT", new_key, b"", {"x-amz-copy-source": source})
        return answer is not None and b"CopyObjectResult" in answer  # a late failure is told with status 200

    def get(self, key: str) -> bytes | None:
        """The object's content, None where it is not small or did not come."""
        return self._ask("GET", key)

    def _ask(
        self, method: str, key: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes | None:
        """What is answered, None where that is no success."""
        if not self._is_usable:
            return None
        request = AWSRequest(method, self._base + quote(key, safe="/~"), data=content, headers=headers)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        try:
            answer = self._pool.request(
                method, request.url, headers=dict(request.headers.items()), body=content, preload_content=False
            )
            if int(answer.headers.get("Content-Length", 0)) > SMALL_BYTES:
                answer.close()  # the rest of it would have to be read before the connection could be used again
                return None
            said = answer.read()
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError):
            return None
        return said if answer.status == 200 else None
