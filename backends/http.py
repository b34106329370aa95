"""One HTTP client for every adapter: bounded in time and size, GET-only retries, one error type, no secrets in it."""

import asyncio
import contextlib
import os
import random
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec

from backends.errors import BackendError, ErrorKind
from backends.text import clean

if TYPE_CHECKING:
    import httpx

# httpx imports its own command line where click is installed, and that rich and pygments: 20 of the 50 ms that it
# costs. It does without where that module cannot be imported.
cast(dict[str, Any], sys.modules).setdefault("httpx._main", None)

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_ATTEMPTS = 3
MAX_RETRY_AFTER_S = 5.0
_RETRY_STATUS = frozenset({429, 502, 503, 504})
_BAD_HEADER = "look for a line break or a letter outside ASCII in a header, a user, a password or a token"
_NEVER_BY_PROXY = ("all://localhost", "all://127.0.0.1", "all://[::1]")
_NO_SUCH_HOST = ("Name or service not known", "nodename nor servname", "resolution", "No address associated")
_PUBLIC_HEADERS = frozenset({"accept", "content-type", "user-agent"})
_KIND_OF_STATUS: dict[int, ErrorKind] = {
    401: "auth", 403: "auth", 404: "not_found", 410: "not_found", 408: "timeout", 504: "timeout",
    409: "conflict", 412: "conflict", 429: "rate_limited", 502: "unreachable", 503: "unreachable",
}  # fmt: skip


class _PassingError(BackendError):
    """What may be gone in a moment: a lost connection, or a status that says so."""


class Answer(msgspec.Struct, frozen=True):
    """A whole response: status, lower-cased headers, body of at most `MAX_BODY_BYTES`, seconds it took.

    `certificate_ends`: when the server's certificate stops being valid; None without TLS or where it is not verified.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    url: str
    certificate_ends: datetime | None = None

    def decode(self, shape: type[T]) -> T:
        """The JSON body as `shape`. Raises BackendError(malformed) naming the bad field: `$.data[3].state`."""
        return decode_json(self.body, shape, where=self.url)


class Http:
    """The shared client. Created on first use; `verify` is a CA bundle path, a TLS context, or false for none.

    An adapter whose system has a TLS identity or a proxy of its own makes one for itself, and closes it.
    """

    def __init__(
        self, *, user_agent: str = "tealdeck", verify: str | bool | ssl.SSLContext = True, proxy: str | None = None
    ) -> None:
        self._user_agent = user_agent
        self._verify = verify
        self._proxy = proxy
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def get(
        self, url: str, *, attempts: int = MAX_ATTEMPTS, timeout: float = READ_TIMEOUT_S, **request: Any
    ) -> Answer:
        """A GET, retried with full jitter on connection loss, 429, 502, 503 and 504, as long as `Retry-After` is short.

        `timeout` covers all attempts and the waits between them; the other arguments are those of `request()`.
        Raises BackendError; a status of 300 and above is an error.
        """
        ends = time.monotonic() + timeout
        for attempt in range(1, attempts + 1):
            try:
                return await self.request("GET", url, timeout=ends - time.monotonic(), **request)
            except _PassingError as error:
                wait = error.retry_after_s if error.retry_after_s is not None else random.uniform(0, 0.2 * 2**attempt)
                if attempt == attempts or wait > min(MAX_RETRY_AFTER_S, ends - time.monotonic()):
                    raise
                await asyncio.sleep(wait)
        raise ValueError(f"attempts: {attempts}")

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
        secrets = _secrets(url, headers, auth)
        began = time.monotonic()
        if json is not None:
            content = msgspec.json.encode(json)
            headers = {"content-type": "application/json", **(headers or {})}
        with _in_our_words(where, secrets, timeout):
            async with (
                asyncio.timeout(timeout),
                client.stream(
                    method, url, params=params, headers=headers, content=content,
                    auth=auth or httpx.USE_CLIENT_DEFAULT,
                    timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT_S, timeout)),
                ) as response,
            ):  # fmt: skip
                certificate_ends = _certificate_ends(response)
                body = await _read_bounded(response, where)
        answer = Answer(response.status_code, response.headers, body, time.monotonic() - began, where, certificate_ends)
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
        secrets = _secrets(url, headers, None)
        patience = httpx.Timeout(idle_s, connect=CONNECT_TIMEOUT_S)
        began = time.monotonic()
        with _in_our_words(where, secrets, idle_s):
            async with client.stream("GET", url, params=params, headers=headers, timeout=patience) as response:
                if response.status_code >= 300:
                    body = await _read_bounded(response, where)
                    answer = Answer(response.status_code, response.headers, body, time.monotonic() - began, where)
                    raise refuse(answer) if refuse else _status_error(answer, secrets)
                partial = bytearray()
                async for chunk in response.aiter_bytes():
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
        # Importing httpx and reading the CA bundle take 0.2 s on a small machine: keys must be answered meanwhile.
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
            return self._client

    def _make_client(self) -> "httpx.AsyncClient":
        import httpx

        try:
            verify: ssl.SSLContext | bool = (
                ssl.create_default_context(cafile=self._verify) if isinstance(self._verify, str) else self._verify
            )
            return httpx.AsyncClient(
                headers={"user-agent": self._user_agent},
                verify=verify,
                proxy=self._proxy,
                mounts=dict.fromkeys(_NEVER_BY_PROXY),
            )
        except OSError as error:
            raise BackendError("config", f"CA bundle {self._verify}: {error.strerror or error}") from None
        except (ImportError, ValueError) as error:
            raise BackendError(
                "config", f"proxy of the environment: {clean(str(error), 200)}", fix="correct HTTP_PROXY, ALL_PROXY"
            ) from None


@contextlib.contextmanager
def _in_our_words(where: str, secrets: list[str], timeout: float) -> Iterator[None]:
    """What httpx raises as the one error that a backend may raise."""
    import httpx

    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        raise BackendError("timeout", f"{where}: no answer in {timeout:.3g} s") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise BackendError("config", f"{where}: {_redacted(str(error), secrets)}") from None
    except (httpx.LocalProtocolError, ValueError):  # its words would quote the header, and with it a secret
        raise BackendError("config", f"{where}: the host name or a header cannot be sent", fix=_BAD_HEADER) from None
    except httpx.RemoteProtocolError as error:
        words = str(error)
        if "disconnected" in words or "peer closed" in words:
            raise _PassingError("unreachable", f"{where}: connection lost before the answer was complete") from None
        raise BackendError("malformed", f"{where}: {_redacted(words, secrets)}") from None
    except httpx.DecodingError as error:
        raise BackendError("malformed", f"{where}: {_redacted(str(error), secrets)}") from None
    except httpx.HTTPError as error:
        words = connection_words(error)
        kind = BackendError if words.startswith("certificate") else _PassingError
        raise kind("unreachable", f"{where}: {_redacted(words, secrets)}") from None


def decode_json(body: bytes, shape: type[T], *, where: str) -> T:
    """`body` as `shape`. Raises BackendError(malformed) with the bad field's path, or what came instead of JSON."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise BackendError("malformed", f"{where}: {clean(str(error), 300)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not body.strip():
            raise BackendError("malformed", f"{where}: an empty answer instead of JSON") from None
        if body.lstrip()[:1] == b"<":
            raise BackendError(
                "malformed", f"{where}: an HTML page instead of JSON (a proxy or a login page?)"
            ) from None
        raise BackendError("malformed", f"{where}: {clean(str(error), 200)}") from None
    except RecursionError:
        raise BackendError("malformed", f"{where}: JSON that is nested too deep") from None


def refusal(
    answer: Answer, *, headers: Mapping[str, str] | None = None, auth: tuple[str, str] | None = None, said: str = ""
) -> BackendError:
    """The error for an `answer` of status 300 and above that was accepted; `said`: the system's own words for it.

    `headers` and `auth` are those of the request: what they hold does not come back in the message.
    """
    return _status_error(answer, _secrets("", headers, auth), said)


def redact_url(url: str) -> str:
    """Scheme, host, port and path of `url`: no user, no password, no query (it may hold a token)."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return clean(urlunsplit((parts.scheme, host, parts.path, "", "")), 300)
    except ValueError:
        return "(not a URL)"


def connection_words(error: BaseException) -> str:
    """Why a connection failed, in the words of the field (`connection refused`, `no such host`, `certificate …`)."""
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


async def _read_bounded(response: "httpx.Response", where: str) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BackendError(
                "malformed",
                f"{where}: an answer of more than {MAX_BODY_BYTES // 2**20} MB",
                fix="narrow the query",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _status_error(answer: Answer, secrets: list[str], said: str = "") -> BackendError:
    kind = _KIND_OF_STATUS.get(answer.status, "unreachable" if answer.status >= 500 else "malformed")
    detail = ""
    if said:
        detail = ": " + _redacted(said, secrets)
    elif answer.status < 400:
        detail = f" to {redact_url(answer.headers.get('location', ''))}, which is not followed"
    elif "json" in answer.headers.get("content-type", ""):
        detail = ": " + _redacted(answer.body[:300].decode("utf-8", "replace"), secrets)
    error = _PassingError if answer.status in _RETRY_STATUS else BackendError
    return error(
        kind,
        f"{answer.url}: HTTP {answer.status}{detail}",
        retry_after_s=_seconds_of(answer.headers.get("retry-after", "")),
        status=answer.status,
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


def _secrets(url: str, headers: Mapping[str, str] | None, auth: tuple[str, str] | None) -> list[str]:
    """What must not come back in a message, as a server may quote it: passwords, tokens, header values."""
    found = [value for name, value in (headers or {}).items() if name.casefold() not in _PUBLIC_HEADERS]
    found += [value.rpartition(" ")[2] for value in found]
    userinfo = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
    found += [userinfo, userinfo.partition(":")[2], auth[1] if auth else ""]
    return sorted((secret for secret in found if len(secret) > 2), key=len, reverse=True)


def _redacted(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return clean(text, 200)
