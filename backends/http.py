"""One HTTP client for every adapter: bounded in time and size, GET-only retries, one error type, no secrets in it."""

import asyncio
import random
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from backends.errors import BackendError, ErrorKind
from backends.text import clean

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_ATTEMPTS = 3
MAX_RETRY_AFTER_S = 5.0
_RETRY_STATUS = frozenset({429, 502, 503, 504})
_KIND_OF_STATUS: dict[int, ErrorKind] = {
    401: "auth", 403: "auth", 404: "not_found", 410: "not_found", 408: "timeout", 504: "timeout",
    409: "conflict", 412: "conflict", 429: "rate_limited", 502: "unreachable", 503: "unreachable",
}  # fmt: skip


class Answer(msgspec.Struct, frozen=True):
    """A whole response: status, lower-cased headers, body of at most `MAX_BODY_BYTES`, seconds it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    url: str

    def decode(self, shape: type[T]) -> T:
        """The JSON body as `shape`. Raises BackendError(malformed) naming the bad field: `$.data[3].state`."""
        return decode_json(self.body, shape, where=self.url)


class Http:
    """The shared client. Created on first use; `verify` is a CA bundle path, or false for none."""

    def __init__(self, *, user_agent: str = "tealdeck", verify: str | bool = True) -> None:
        self._user_agent = user_agent
        self._verify = verify
        self._client: httpx.AsyncClient | None = None

    async def get(self, url: str, *, attempts: int = MAX_ATTEMPTS, **request: Any) -> Answer:
        """A GET, retried with full jitter on connection loss, 429, 502, 503 and 504, as long as `Retry-After` is short.

        Keyword arguments as `request()`. Raises BackendError; a status of 400 and above is an error.
        """
        for attempt in range(1, attempts + 1):
            try:
                return await self.request("GET", url, **request)
            except BackendError as error:
                if attempt == attempts or error.kind not in ("unreachable", "rate_limited"):
                    raise
                wait = error.retry_after_s if error.retry_after_s is not None else random.uniform(0, 0.2 * 2**attempt)
                if wait > MAX_RETRY_AFTER_S:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

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

        Raises BackendError of kind auth, not_found, unreachable, timeout, rate_limited, malformed or conflict.
        """
        import httpx

        where = redact_url(url)
        began = time.monotonic()
        if json is not None:
            content = msgspec.json.encode(json)
            headers = {"content-type": "application/json", **(headers or {})}
        try:
            async with (
                asyncio.timeout(timeout + CONNECT_TIMEOUT_S),
                self._open().stream(
                    method, url, params=params, headers=headers, content=content,
                    auth=auth or httpx.USE_CLIENT_DEFAULT,
                    timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT_S, timeout)),
                ) as response,
            ):  # fmt: skip
                body = await _read_bounded(response, where)
        except (TimeoutError, httpx.TimeoutException):
            raise BackendError("timeout", f"{where}: no answer in {timeout:g} s") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BackendError("config", f"{where}: {clean(str(error), 200)}") from None
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            raise BackendError("malformed", f"{where}: {clean(str(error), 200)}") from None
        except httpx.HTTPError as error:
            raise BackendError("unreachable", f"{where}: {connection_words(error)}") from None
        answer = Answer(response.status_code, response.headers, body, time.monotonic() - began, where)
        if answer.status >= 300 and not accept_errors:
            raise _status_error(answer)
        return answer

    async def aclose(self) -> None:
        """Close all connections; safe to call twice."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            verify: ssl.SSLContext | bool = (
                ssl.create_default_context(cafile=self._verify) if isinstance(self._verify, str) else self._verify
            )
            self._client = httpx.AsyncClient(headers={"user-agent": self._user_agent}, verify=verify)
        return self._client


def decode_json(body: bytes, shape: type[T], *, where: str) -> T:
    """`body` as `shape`. Raises BackendError(malformed) with the bad field's path, or what came instead of JSON."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise BackendError("malformed", f"{where}: {clean(str(error), 300)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if body.lstrip()[:1] == b"<":
            raise BackendError(
                "malformed", f"{where}: an HTML page instead of JSON (a proxy or a login page?)"
            ) from None
        raise BackendError("malformed", f"{where}: {clean(str(error), 200)}") from None


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
    if "Name or service not known" in words or "nodename nor servname" in words or "resolution" in words:
        return "no such host"
    return "connection refused" if "All connection attempts failed" in words else words


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


def _status_error(answer: Answer) -> BackendError:
    kind = _KIND_OF_STATUS.get(answer.status, "unreachable" if answer.status >= 500 else "malformed")
    detail = ""
    if "json" in answer.headers.get("content-type", ""):
        detail = ": " + clean(answer.body[:300].decode("utf-8", "replace"), 200)
    retry_after = answer.headers.get("retry-after", "")
    return BackendError(
        kind,
        f"{answer.url}: HTTP {answer.status}{detail}",
        retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
    )
