"""What goes wrong between the workspace and its bucket, in words that an operator can act upon."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from dlmodeler_site.storage import WorkspaceUnavailable

MISSING = ("404", "NoSuchKey", "NotFound")
REPLACED = ("412", "PreconditionFailed")
_KEYS = "DLM_WORKSPACE_ACCESS_KEY and DLM_WORKSPACE_SECRET_KEY"
_MEANINGS = {
    "InvalidAccessKeyId": f"The access key is not known there, or not any more. Set {_KEYS} to a valid key.",
    "SignatureDoesNotMatch": f"The secret key does not belong to the access key. Set {_KEYS} to a valid key.",
    "AccessDenied": "The key may not do this. Give it the right to list the bucket, and to get, put and delete objects "
    f"in it, or set {_KEYS} to another key.",
    "NoSuchBucket": "There is no such bucket. Create it, or name another in DLM_WORKSPACE_URL.",
    "InvalidBucketName": "No bucket can have this name. Correct DLM_WORKSPACE_URL.",
    "ExpiredToken": "The session token has expired. Set a new one in AWS_SESSION_TOKEN, or use a key that lasts.",
    "RequestTimeTooSkewed": "The clocks of this machine and of the storage differ too much. Set this machine's clock.",
    "PermanentRedirect": "The bucket lies in another region. Set DLM_WORKSPACE_REGION to the bucket's.",
    "QuotaExceeded": "The storage or its quota is full. Delete what is not needed, or raise the quota.",
    "SlowDown": "The storage has too much to do, or is ill. Look at it.",
}
_SAME = {
    "403": "AccessDenied",
    "Forbidden": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "AccountProblem": "AccessDenied",
    "UserSuspended": "AccessDenied",
    "InvalidToken": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "301": "PermanentRedirect",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "InsufficientCapacity": "QuotaExceeded",
    "507": "QuotaExceeded",
    "500": "SlowDown",
    "503": "SlowDown",
    "InternalError": "SlowDown",
    "ServiceUnavailable": "SlowDown",
}


def unavailable(error: BotoCoreError | ClientError, *, what: str) -> WorkspaceUnavailable:
    """Why the bucket of the workspace cannot be used; `what` names it and where it is."""
    if isinstance(error, ClientError):
        code = str(error.response["Error"].get("Code") or error.response["ResponseMetadata"].get("HTTPStatusCode"))
        said = f"{error.operation_name}: {code}"
        meaning = _MEANINGS.get(_SAME.get(code, code)) or error.response["Error"].get("Message") or "Look at its log."
    else:
        said = f"{type(error).__name__}: {error}"
        meaning = _trouble(error)
    return WorkspaceUnavailable(f"{what} cannot be used. {meaning} ({said})")


def _trouble(error: BotoCoreError) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return f"There is no key to it. Set {_KEYS}."
    if isinstance(error, EndpointConnectionError | ConnectionClosedError | HTTPClientError):
        return (
            "It does not answer. See that it runs and can be reached from this machine, and that "
            "DLM_WORKSPACE_ENDPOINT is its address."
        )
    return "See that DLM_WORKSPACE_URL, DLM_WORKSPACE_ENDPOINT and DLM_WORKSPACE_REGION are right."
