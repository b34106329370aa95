"""The one error that a backend may raise, and the words it may use for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from backends.redaction import redacted

ErrorKind = Literal[
    "auth",
    "not_found",
    "unreachable",
    "timeout",
    "rate_limited",
    "malformed",
    "conflict",
    "config",
    "failed",
    "internal",
]

RUN_VALIDATE = "run `teal config validate`"

_WHAT_TO_DO: dict[ErrorKind, str] = {
    "auth": "check the credentials that the config names, and what they may do",
    "not_found": "check the name and the URL in the config",
    "unreachable": "check that the system runs and that this host may reach it",
    "timeout": "the system is slow or hangs: look at it directly, or raise --timeout",
    "rate_limited": "wait, or raise the refresh interval of this source",
    "malformed": "the answer is not what this system documents: check the URL and its version",
    "conflict": "somebody else changed it: look again, then plan anew",
    "config": RUN_VALIDATE,
    "failed": "see what the command said, and look at what it was run for",
    "internal": "this is a defect: report it with these words",
}


class BackendError(Exception):
    """A backend did not do what was asked of it.

    ``kind`` decides the exit code (docs/contract.md), ``message`` is one cleaned line saying what and where,
    ``fix`` one line saying what to do. Neither ever holds a secret. ``status`` is the HTTP status, where one was
    answered: from 400 to 499 the system said no, anything else leaves open what became of an order. ``answered``: the
    system was reached, and the error is its own word. ``passing``: it may be gone in a moment; who only reads may ask
    again (`backends.retrying`). ``taken_back``: of a write, that it was or may have been in force before it was put
    back: what is there now is as it was, and was not all the time. ``unsent``: of a write, that nothing of it was sent,
    and nothing will be.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        fix: str = "",
        retry_after_s: float | None = None,
        status: int | None = None,
        answered: bool = False,
        passing: bool = False,
        taken_back: bool = False,
        unsent: bool = False,
    ) -> None:
        message = redacted(message)
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.fix = redacted(fix) or _WHAT_TO_DO[kind]
        self.retry_after_s = retry_after_s
        self.status = status
        self.answered = answered or status is not None
        self.passing = passing
        self.taken_back = taken_back
        self.unsent = unsent


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Of a write, what it reads before: an error in it is `unsent`."""
    try:
        yield
    except BackendError as error:
        error.unsent = True
        raise
