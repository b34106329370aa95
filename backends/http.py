"""One HTTP client for every adapter: bounded in time and size, GET-only retries, one error type, no secrets in it."""

import asyncio
import contextlib
import os
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from backends.bodies import pieces, read_bounded
from backends.errors import BackendError, ErrorKind
from backends.inflating import DamagedError
from backends.json_text import decode_text
from backends.proxies import checked_proxy, proxy_for
from backends.redaction import quoted, redact_url, redacted, request_secrets
from backends.retrying import ATTEMPTS, PASSING_STATUS, retried
from backends.stopwatch import LONGEST, timed
from backends.text import clean
from backends.urls import refuse_port

if TYPE_CHECKING:
    import httpx

# httpx imports its own command line where click is installed, and that rich and pygments: 20 of the 50 ms that it
# costs. It does without where that module cannot be imported.
cast(dict[str, Any], sys.modules).setdefault("httpx._main", None)

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
MAX_LOOSE_BYTES = 8 * 1024 * 1024  # decoded as plain objects, which take 30 times as much
MAX_LINE_BYTES = 64 * 1024
_BAD_HEADER = "look for a line break or a letter outside ASCII in a header, a user, a password or a token"
_NO_SUCH_HOST = ("Name or service not known", "nodename nor servname", "resolution", "No address associated")
_ASKED_WRONGLY = frozenset({400, 422})
_KIND_OF_STATUS: dict[int, ErrorKind] = {
    401: "auth", 403: "auth", 404: "not_found", 410: "not_found", 408: "timeout", 504: "timeout",
    409: "conflict", 412: "conflict", 429: "rate_limited", 502: "unreachable", 503: "unreachable",
}  # fmt: skip


class Answer(msgspec.Struct, frozen=True):
    """A whole response: status, lower-cased headers, body of at most `MAX_BODY_BYTES`, seconds it took at least.

    `late_s`: what this host was late by meanwhile; the answer may have taken so much longer.
    `certificate_ends`: when the server's certificate stops being valid; None without TLS or where it is not verified.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    url: str
    certificate_ends: datetime | None = None
    late_s: float = 0.0

    def decode(self, shape: type[T]) -> T:
        """The JSON body as `shape`. Raises BackendError(malformed) naming the bad field: `$.data[3].state`."""
        return decode_json(self.body, shape, where=self.url)


class Http:
    """The shared client. Created on first use; `verify` is a CA bundle path, a TLS context, or false for none.

    An adapter whose system has a TLS identity or a proxy of its own makes one for itself, and closes it. Everything
    then goes by that `proxy`, whatever the environment says; `proxy_named` is where it is written.
    """

    def __init__(
        self,
        *,
        user_agent: str = "tealdeck",
        verify: str | bool | ssl.SSLContext = True,
        proxy: str | None = None,
        proxy_named: str = "proxy",
    ) -> None:
        self._user_agent = user_agent
        self._verify = verify
        self._proxy = proxy
        self._proxy_named = proxy_named
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def get(
        self,
        url: str,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = READ_TIMEOUT_S,
        accept_errors: bool = False,
        passing: Collection[int] | None = None,
        **request: Any,
    ) -> Answer:
        """A GET, retried on connection loss and on a status of `passing`: 429, 502, 503 and 504, with `accept_errors`
        none, as long as `Retry-After` is short.

        `timeout` covers all attempts and the waits between them; the other arguments are those of `request()`.
        Raises BackendError; a status of 300 and above is an error, with `accept_errors` the last answer.
        """
        again = passing if passing is not None else () if accept_errors else PASSING_STATUS
        answer: Answer | None = None

        async def ask(left_s: float) -> Answer:
            nonlocal answer
            answer = None
            answer = await self.request("GET", url, timeout=left_s, accept_errors=True, **request)
            if answer.status < 300 or (accept_errors and answer.status not in again):
                return answer
            error = _status_error(answer, request_secrets(url, request.get("headers"), request.get("auth")))
            error.passing = answer.status in again
            raise error

        try:
            return await retried(ask, timeout_s=timeout, attempts=attempts)
        except BackendError:
            if accept_errors and answer is not None:
                return answer
            raise

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float = READ_TIMEOUT_S,
        accept_errors: bool = False,
    ) -> Answer:
        """One request, never repeated and never redirected. `accept_errors` returns any status instead of raising.

        `timeout`: seconds for the whole answer. Raises BackendError of kind auth, not_found, unreachable, timeout,
        rate_limited, malformed or conflict, and config for what cannot be sent at all.
        """
        client = await self._opened()
        import httpx

        where = redact_url(url)
        refuse_port(url)
        secrets = request_secrets(url, headers, auth)
        if json is not None:
            content = msgspec.json.encode(json)
            headers = {"content-type": "application/json", **(headers or {})}
        with _in_our_words(self._asked(url), secrets, timeout):
            async with (
                timed(timeout) as watch,
                client.stream(
                    method, url, params=params, headers=headers, content=content,
                    auth=auth or httpx.USE_CLIENT_DEFAULT,
                    timeout=httpx.Timeout(LONGEST * timeout, connect=min(CONNECT_TIMEOUT_S, timeout)),
                ) as response,
            ):  # fmt: skip
                certificate_ends = _certificate_ends(response)
                body = await read_bounded(response, where)
                took = watch.took()
        answer = Answer(
            response.status_code, response.headers, body, took.seconds, where, certificate_ends, took.late_s
        )
        if answer.status >= 300 and not accept_errors:
            raise _status_error(answer, secrets)
        return answer

    async def lines(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_s: float = READ_TIMEOUT_S,
        longest: int = MAX_LINE_BYTES,
        refuse: Callable[[Answer], BackendError] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of an answer to a GET as they come, to its end; of each at most `longest` bytes. Closing the
        iterator ends the connection.

        Raises BackendError as `request`, `timeout` where nothing came for `idle_s`, and what `refuse` makes of an
        answer of status 300 and above.
        """
        client = await self._opened()
        import httpx

        where = redact_url(url)
        refuse_port(url)
        secrets = request_secrets(url, headers, None)
        patience = httpx.Timeout(idle_s, connect=CONNECT_TIMEOUT_S)
        began = time.monotonic()
        with _in_our_words(self._asked(url), secrets, idle_s):
            async with client.stream("GET", url, params=params, headers=headers, timeout=patience) as response:
                if response.status_code >= 300:
                    body = await read_bounded(response, where)
                    answer = Answer(response.status_code, response.headers, body, time.monotonic() - began, where)
                    raise refuse(answer) if refuse else _status_error(answer, secrets)
                partial = bytearray()
                async for chunk in pieces(response, where):
                    *finished, rest = chunk.split(b"\n")
                    for piece in finished:
                        yield bytes(partial + piece)[:longest]
                        partial.clear()
                    partial += rest[: longest - len(partial)]
                if partial:
                    yield bytes(partial)

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _opened(self) -> "httpx.AsyncClient":
        # Importing httpx takes 0.2 s on a small machine: keys must be answered meanwhile.
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _route(self, url: str) -> str | None:
        """The proxy for it, None for none. Raises BackendError(config)."""
        return checked_proxy(self._proxy, self._proxy_named) if self._proxy else proxy_for(url)

    def _asked(self, url: str) -> str:
        """What is asked, and by which proxy, for messages."""
        try:
            proxy = self._route(url)
        except ValueError:  # not a URL, as whoever sends it will say
            proxy = None
        return f"{redact_url(url)} (by proxy {redact_url(proxy)})" if proxy else redact_url(url)

    def _make_client(self) -> "httpx.AsyncClient":
        import httpx

        from backends.http_routes import Routes

        headers = {"user-agent": self._user_agent, "accept-encoding": "gzip"}
        named = self._proxy_named if self._proxy else "proxy of the environment"
        return httpx.AsyncClient(headers=headers, transport=Routes(self._verify, self._route, named))


@contextlib.contextmanager
def _in_our_words(where: str, secrets: list[str], timeout: float) -> Iterator[None]:
    """What httpx raises as the one error that a backend may raise."""
    import httpx

    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        raise BackendError("timeout", f"{where}: no answer in {timeout:.3g} s") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise BackendError("config", f"{where}: {quoted(str(error), secrets=secrets)}") from None
    except (httpx.LocalProtocolError, ValueError):  # its words would quote the header, and with it a secret
        raise BackendError("config", f"{where}: the host name or a header cannot be sent", fix=_BAD_HEADER) from None
    except httpx.RemoteProtocolError as error:
        words = str(error)
        if "disconnected" in words or "peer closed" in words:
            words = f"{where}: connection lost before the answer was complete"
            raise BackendError("unreachable", words, passing=True) from None
        raise BackendError("malformed", f"{where}: {quoted(words, secrets=secrets)}") from None
    except ExceptionGroup as group:  # of whoever tries several addresses side by side, and of what is no OSError
        raise BackendError("unreachable", f"{where}: {quoted(_first(group), secrets=secrets)}") from None
    except DamagedError as error:
        raise BackendError("malformed", f"{where}: not gzip, as it says: {error}") from None
    except httpx.HTTPError as error:
        words = connection_words(error)
        passing = not words.startswith("certificate")
        raise BackendError("unreachable", f"{where}: {quoted(words, secrets=secrets)}", passing=passing) from None


def _first(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def decode_json(body: bytes, shape: type[T], *, where: str) -> T:
    """`body` as `shape`; a null where `shape` has none is no field at all, as JSON readers in Go have it.

    Raises BackendError(malformed) with the bad field's path, or what came instead of JSON.
    """
    try:
        return decode_text(body, shape)
    except msgspec.ValidationError as error:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            if "got `null`" in str(error) and len(body) <= MAX_LOOSE_BYTES:
                return msgspec.convert(without_nulls(decode_text(body, object)), shape)
        raise BackendError("malformed", f"{where}: {quoted(str(error), 300)}") from None
    except msgspec.DecodeError as error:
        words = quoted(str(error))
        if not body.strip():
            words = "an empty answer instead of JSON"
        elif body.lstrip()[:1] == b"<":
            words = "an HTML page instead of JSON (a proxy or a login page?)"
        raise BackendError("malformed", f"{where}: {words}") from None


def without_nulls(value: Any) -> Any:
    """`value` without the keys of its tables that are null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def refusal(
    answer: Answer,
    *,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    said: str = "",
    asked: str = "",
) -> BackendError:
    """The error for an `answer` of status 300 and above that was accepted; `said`: the system's own words for it.

    `headers` and `auth` are those of the request: what they hold does not come back in the message. `asked` names what
    of the config the system was asked with: where it says that this is wrong (400, 422), the error is of kind config.
    """
    error = _status_error(answer, request_secrets("", headers, auth), said)
    if asked and said and answer.status in _ASKED_WRONGLY:
        return BackendError("config", error.message, fix=f"correct {asked}", status=answer.status)
    return error


def connection_words(error: BaseException) -> str:
    """Why a connection failed, in the words of the field (`connection refused`, `no such host`, `certificate …`)."""
    while isinstance(error, BaseExceptionGroup):  # of whoever tries several addresses side by side
        error = error.exceptions[0]
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"certificate not trusted: {clean(reason.verify_message, 200)}"
        if isinstance(reason, ConnectionRefusedError):
            return "connection refused"
        if isinstance(reason, ConnectionResetError):
            return "connection reset"
        reason = reason.__cause__ or reason.__context__
    words = clean(str(error), 200) or type(error).__name__
    if isinstance(error, UnicodeError) or any(part in words for part in _NO_SUCH_HOST):
        return "no such host"
    if "All connection attempts failed" in words or "Errno 111" in words:
        return "connection refused"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return words


def _certificate_ends(response: "httpx.Response") -> datetime | None:
    stream = response.extensions.get("network_stream")  # gone once the body has been read
    connection = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = connection.getpeercert() if connection is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _status_error(answer: Answer, secrets: list[str], said: str = "") -> BackendError:
    kind = _KIND_OF_STATUS.get(answer.status, "unreachable" if answer.status >= 500 else "malformed")
    detail = ""
    if said:
        detail = ": " + quoted(said, secrets=secrets)
    elif 300 <= answer.status < 400 and (location := answer.headers.get("location", "")):
        detail = f" to {redact_url(redacted(location, secrets))}, which is not followed"
    elif "json" in answer.headers.get("content-type", ""):
        detail = ": " + quoted(answer.body.decode("utf-8", "replace"), secrets=secrets)
    return BackendError(
        kind,
        f"{answer.url}: HTTP {answer.status}{detail}",
        retry_after_s=_seconds_of(answer.headers.get("retry-after", "")),
        status=answer.status,
        passing=answer.status in PASSING_STATUS,
    )


def _seconds_of(retry_after: str) -> float | None:
    """`Retry-After` in seconds, whether it is a number or a date; None where it is neither."""
    if retry_after.isdecimal():
        return float(retry_after)
    from email.utils import parsedate_to_datetime  # 15 ms, for a header that is rare

    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - time.time())
