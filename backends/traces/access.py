"""How a store of traces is entered."""

from http import HTTPStatus
from typing import Any

from msgspec import Struct, field

from backends.credentials import (
    Authentication,
    Credentials,
    Keyring,
    credentials,
    refuse_bad_url,
    refuse_literal_secrets,
)
from backends.entered import trusting
from backends.errors import BackendError
from backends.http import Answer, refusal
from backends.registry import AdapterContext
from backends.retrying import PASSING_STATUS
from backends.settings import Duration, Secret

_LONGEST_ID = 32


class TracesAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store of traces.

    url: where its API is, with its path where it is served below one.
    headers: sent with every request; a value may be a reference.
    auth: a user with a password, or a token.
    ca_file: whose certificates are trusted for `url`.
    timeout: of one request.
    """

    url: str
    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    ca_file: str = ""
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class _Words(Struct):
    message: str = ""
    msg: str = ""


class _Refused(Struct):
    """Jaeger v3 has one `error`, its own pages several `errors`."""

    error: _Words | str = ""
    errors: list[_Words] = []


class TracesApi:
    """GETs below `url`. `headers`: more than those of the config."""

    def __init__(self, config: TracesAccess, context: AdapterContext, headers: dict[str, str] | None = None) -> None:
        self.base = config.url.rstrip("/")
        self._own = trusting(config.ca_file, context.base_dir)
        self._http = self._own or context.http
        self._timeout_s = float(config.timeout)
        sent = {**config.headers, **(headers or {})}
        self._keys = Keyring(lambda: credentials(sent, config.auth, context.base_dir))

    async def get(self, path: str, params: dict[str, Any] | None = None) -> Answer:
        """Raises BackendError for a status of 300 and above, with what the server says of it."""

        async def ask(known: Credentials) -> Answer:
            answer = await self._http.get(
                self.base + path, params=params, headers=known.headers, auth=known.auth, timeout=self._timeout_s,
                accept_errors=True, passing=PASSING_STATUS,
            )  # fmt: skip
            if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                return answer
            raise refusal(answer, headers=known.headers, auth=known.auth, said=_said(answer))

        return await self._keys.entered(ask)

    async def aclose(self) -> None:
        """Close what is not shared."""
        if self._own is not None:
            await self._own.aclose()


def _said(answer: Answer) -> str:
    """In whatever it is wrapped: Jaeger sends JSON as plain text."""
    try:
        told = answer.decode(_Refused)
    except BackendError:
        is_text = "text/plain" in answer.headers.get("content-type", "")
        return answer.body.decode("utf-8", "replace").strip() if is_text else ""
    one = told.error if isinstance(told.error, str) else told.error.message
    return one or "; ".join(each.msg or each.message for each in told.errors)


def checked_id(trace_id: str) -> str:
    """The id as it goes into a path. Raises BackendError(not_found) for what is no id of a trace."""
    if not 0 < len(trace_id) <= _LONGEST_ID or set(trace_id.lower()) - set("0123456789abcdef"):
        words = f'"{trace_id[:80]}" is no id of a trace'
        raise BackendError("not_found", words, fix="an id has at most 32 hexadecimal digits")
    return trace_id.lower()


def go_duration(seconds: float) -> str:
    """`1.5s`, as programs in Go read it."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
