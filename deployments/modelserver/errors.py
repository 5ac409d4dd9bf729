"""What goes wrong in a model server, in words for whoever can mend it."""

from typing import Any


class RequestError(Exception):
    """A request that is answered with an error instead of predictions."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.details = details or {}
        self.retry_after_s = retry_after_s
