"""The one error vocabulary. No HTTP in here: each API family renders these in its own form.

`code` is stable and meant for programs, `message` says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping


class DomainError(Exception):
    """Base. Subclasses set the class of failure; `code` narrows it."""

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = details


class BadRequest(DomainError):
    """The request can't be understood or contradicts itself. Nothing changed."""

    code = "bad_request"


class Unauthenticated(DomainError):
    """No token, or one that does not hold."""

    code = "unauthenticated"


class Forbidden(DomainError):
    """We know who asks, and they may not."""

    code = "forbidden"


class NotFound(DomainError):
    """It does not exist, or the caller may not know that it does."""

    code = "not_found"


class Gone(DomainError):
    """It existed and will not come back."""

    code = "gone"


class Conflict(DomainError):
    """The state does not allow it."""

    code = "conflict"


class PollReplaced(Conflict):
    """A newer poll of the same channel took this one's place."""

    code = "poll_replaced"


class NotAcceptable(DomainError):
    """Nothing that could be answered is in a form that the client takes."""

    code = "not_acceptable"


class UnsupportedMediaType(DomainError):
    """The body is in a form that is not read here."""

    code = "unsupported_media_type"


class TooLarge(DomainError):
    """The request, or a part of it, is larger than is read."""

    code = "too_large"


class PreconditionRequired(DomainError):
    """The change needs a condition: say which copy it is made to."""

    code = "precondition_required"


class PreconditionFailed(DomainError):
    """The caller's copy is not the current one."""

    code = "precondition_failed"


class TooManyRequests(DomainError):
    """Too much at once or in a row; try again after `retry_after` seconds."""

    code = "too_many_requests"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 2) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class TimedOut(DomainError):
    """We could not get an answer in time from what we asked."""

    code = "timed_out"


class MediaFailed(DomainError):
    """The media side could not do it: no session there, no worker, or it did not answer."""

    code = "media_failed"


class Unavailable(DomainError):
    """A server that we need is down; try again after `retry_after` seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after
