"""What requests to presigned addresses of an object storage are answered when they fail, for all objects or for one.

An address is a key to its object: it never reaches a message or a log.
"""

import re

import urllib3

from dlmodeler_site.sentences import Sentence as _

# Between the tries of one object that gets no further; a storage that restarts is back within half a minute.
DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_ERROR_BYTES = 4096
_MOST_WAIT_S = 60.0
# Codes of S3 that say that the address, not the object, is refused: no other object would fare better.
_KEY_CODES = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccountProblem", "InvalidToken")
_AGE_CODES = ("ExpiredToken", "RequestTimeTooSkewed", "RequestExpired")


class StorageFailed(Exception):
    """The storage takes and gives nothing at this time; the message says why in words for the user."""

    def __init__(self, message: str, reason: str = "import_incomplete") -> None:
        super().__init__(message, reason)
        self.message = message
        self.reason = reason


class Interrupted(Exception):
    """A try that broke off and may be tried again."""

    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.wait_s = wait_s


def refusal_of_one(answer: urllib3.BaseHTTPResponse) -> str:
    """The code of an error that is about the one object.

    Raises StorageFailed when every other request would fail as well, Interrupted when a later one need not.
    """
    status, code = answer.status, _code(answer)
    if code in _KEY_CODES:
        raise StorageFailed(_("The object storage refuses the connection's key (%(code)s).", code=code), "key_refused")
    if code in _AGE_CODES:
        raise StorageFailed(_("The permission to use the objects has expired (%(code)s).", code=code), "key_expired")
    if code == "NoSuchBucket":
        raise StorageFailed(_("The bucket does not exist any more."), "no_such_bucket")
    if 300 <= status < 400:
        raise StorageFailed(
            _(
                "The object storage leads to another address (status %(status)d). Check region and endpoint.",
                status=status,
            ),
            "storage_moved",
        )
    if status in (408, 429) or status >= 500:
        raise Interrupted(_("the storage answered with status %(status)d", status=status), wait_s=_wait_s(answer))
    return code


def broken_off(error: urllib3.exceptions.HTTPError) -> Interrupted:
    """What broke a request off before its answer. SECURITY: the error's own words hold the address."""
    if isinstance(error, urllib3.exceptions.MaxRetryError) and isinstance(error.reason, urllib3.exceptions.HTTPError):
        error = error.reason
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return Interrupted(_("the storage cannot be reached"))
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return Interrupted(_("the storage did not answer in time"))
    if isinstance(error, urllib3.exceptions.SSLError):
        return Interrupted(_("the storage's certificate is not trusted"))
    return Interrupted(_("the connection broke off"))


def _code(answer: urllib3.BaseHTTPResponse) -> str:
    """The code in an error of S3; AccessDenied also where the address is too old, which only the message tells."""
    body = answer.read(_ERROR_BYTES, decode_content=False).decode("utf-8", "replace")
    found = re.search(r"<Code>(\w+)</Code>", body)
    return "RequestExpired" if "Request has expired" in body else found[1] if found else ""


def _wait_s(answer: urllib3.BaseHTTPResponse) -> float:
    after = answer.headers.get("Retry-After", "")
    return min(float(after), _MOST_WAIT_S) if after.isdigit() else 0.0
