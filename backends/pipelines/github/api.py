"""GitHub's REST API: conditional requests, its limits, one error type.

An unchanged answer is a 304, which counts against no limit. Where GitHub says that we ask too much, nothing is sent
until it may be: going on while limited ends in a ban
(https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api).
"""

import contextlib
import re
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from backends.credentials import (
    Authentication,
    Credentials,
    Keyring,
    credentials,
    refuse_bad_url,
    refuse_literal_secrets,
)
from backends.errors import BackendError
from backends.http import Answer, refusal
from backends.pipelines.github.wire import User
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.times import away

T = TypeVar("T")

PAGE = 100
MAX_KEPT = 500
MAX_LOG_LINES = 20_000
SECONDARY_WAIT_S = 60.0  # where a secondary limit does not say how long
FEW = 0.1  # of the requests of an hour
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_PASSING = frozenset({502, 503, 504})
_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
_FIX_AUTH = "check the token: it needs to read and write Actions, and to read contents and deployments"


class GitHubAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repository and how it is entered.

    repo: `OWNER/NAME`.
    url: of the API: `https://HOST/api/v3` of GitHub Enterprise.
    auth: a token; one from a command is asked for anew after a 401.
    headers: sent with every request; a value may be a reference.
    timeout: of one request.
    """

    repo: str
    url: str = "https://api.github.com"
    auth: Authentication | None = None
    headers: dict[str, str | Secret] = {}
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if not _REPO.fullmatch(self.repo):
            raise ValueError("repo: write it as OWNER/NAME")
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)


class RateLimit(Struct, frozen=True):
    """Requests that are left until `resets_at`."""

    limit: int
    remaining: int
    resets_at: datetime

    @property
    def is_low(self) -> bool:
        """Whether to do without what is only nice to know."""
        return self.remaining < self.limit * FEW

    def __str__(self) -> str:
        return f"{self.remaining} of {self.limit} requests left for the next {away(self.resets_at)}"


class _Kept(Struct, frozen=True):
    etag: str
    value: Any


class _Said(Struct):
    message: str = ""


class GitHubApi:
    """One repository. `limit` is what GitHub said last of its limit."""

    def __init__(self, config: GitHubAccess, context: AdapterContext) -> None:
        self.limit: RateLimit | None = None
        self.skew_s = 0.0
        self._config = config
        self._http = context.http
        self._api = config.url.rstrip("/")
        self._base = f"{self._api}/repos/{config.repo}"
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._keys = Keyring(lambda: credentials(config.headers, config.auth, context.base_dir))
        self._login: str | None = None
        self._blocked_until = 0.0
        self._blocked_by = ""

    async def get(
        self, path: str, shape: type[T], params: Mapping[str, Any] | None = None, *, fresh: bool = False
    ) -> T:
        """The answer under the repository's own path as `shape`; `fresh`: not even a 304 will do.

        Raises BackendError: `rate_limited` with the time it lasts, `not_found` also for what the token may not see.
        """
        key = path, str(sorted((params or {}).items()))
        kept = None if fresh else self._kept.get(key)
        answer = await self._send("GET", path, params=params, headers={"if-none-match": kept.etag} if kept else {})
        if answer.status == 304 and kept is not None:
            self._kept.move_to_end(key)
            value: T = kept.value
            return value
        value = decode_mended(answer.body, shape, where=answer.url)
        if etag := answer.headers.get("etag"):
            self._kept[key] = _Kept(etag, value)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return value

    async def login(self) -> str:
        """Who the token is; empty where it is nobody's: the token of a job or an app."""
        if self._login is None:
            try:
                self._login = (await self.get("//user", User)).login
            except BackendError as error:
                if error.kind not in ("auth", "not_found"):
                    raise
                self._login = ""
        return self._login

    async def write(self, method: str, path: str, body: Any = None) -> Answer:
        """Sent once. Raises as `get`; `error.status` is null where nobody knows whether it arrived."""
        return await self._send(method, path, json=body)

    async def log(self, job: int) -> list[bytes]:
        """The last lines of a job's log. It lies elsewhere, under an address that is a secret and lasts a minute."""
        answer = await self._send("GET", f"/actions/jobs/{job}/logs", redirects=True)
        if answer.status == 200:
            return answer.body.splitlines()[-MAX_LOG_LINES:]
        lines: deque[bytes] = deque(maxlen=MAX_LOG_LINES)
        async for line in self._http.lines(self._elsewhere(answer), idle_s=self._config.timeout):
            lines.append(line)
        return list(lines)

    async def archive(self, artifact: int) -> bytes:
        """An artifact, a zip. It lies elsewhere, too. Raises as `get`; `not_found` for one that has expired."""
        answer = await self._send("GET", f"/actions/artifacts/{artifact}/zip", redirects=True)
        if answer.status == 200:
            return answer.body
        return (await self._http.get(self._elsewhere(answer), timeout=self._config.timeout)).body

    def _elsewhere(self, answer: Answer) -> str:
        """Where we are sent, without our token: it is another host. Raises BackendError(malformed)."""
        place = answer.headers.get("location", "")
        if not place.startswith("https://" if self._config.url.startswith("https://") else ("http://", "https://")):
            raise BackendError("malformed", f"{answer.url}: redirected to nowhere")
        return place

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        redirects: bool = False,
    ) -> Answer:
        url = f"{self._api}/{path.removeprefix('//')}" if path.startswith("//") else self._base + path
        request: dict[str, Any] = {"params": params, "timeout": float(self._config.timeout), "accept_errors": True}

        async def ask(own: Credentials) -> Answer:
            self._refuse_while_limited()
            sent = {**_HEADERS, **own.headers, **(headers or {})}
            get = partial(self._http.get, passing=_PASSING)
            send = get if method == "GET" else partial(self._http.request, method, json=json)
            answer = await send(url, headers=sent, auth=own.auth, **request)
            self._learn(answer)
            if answer.status < 300 or answer.status == 304 or (redirects and answer.status in (301, 302, 307)):
                return answer
            raise self._refused(answer, sent)

        return await self._keys.entered(ask)

    def _learn(self, answer: Answer) -> None:
        with contextlib.suppress(KeyError, ValueError, OverflowError, OSError):  # GitHub Enterprise may have none
            self.limit = RateLimit(
                int(answer.headers["x-ratelimit-limit"]),
                int(answer.headers["x-ratelimit-remaining"]),
                datetime.fromtimestamp(int(answer.headers["x-ratelimit-reset"]), UTC),
            )
        if date := answer.headers.get("date"):
            from email.utils import parsedate_to_datetime

            with contextlib.suppress(ValueError):
                self.skew_s = parsedate_to_datetime(date).timestamp() - time.time()

    def _refused(self, answer: Answer, headers: Mapping[str, str]) -> BackendError:
        try:
            said = answer.decode(_Said).message
        except BackendError:
            said = ""
        error = refusal(answer, headers=headers, said=said)
        if answer.status in (403, 429):
            wait = self._limited(answer, error, said)
            if wait is not None:
                self._blocked_until, self._blocked_by = time.monotonic() + wait, error.message
                return self._limit_error()
        if answer.status == 422:
            return BackendError("config", error.message, fix="check the inputs and the ref", status=422)
        if error.kind in ("auth", "not_found"):
            return BackendError(error.kind, error.message, fix=_FIX_AUTH, status=answer.status)
        return error

    def _limited(self, answer: Answer, error: BackendError, said: str) -> float | None:
        """For how many seconds we are limited; None where this is another 403."""
        if error.retry_after_s is not None:
            return error.retry_after_s
        if answer.headers.get("x-ratelimit-remaining") == "0" and self.limit is not None:
            return max(1.0, self.limit.resets_at.timestamp() - time.time() - self.skew_s)
        return SECONDARY_WAIT_S if answer.status == 429 or "rate limit" in said.casefold() else None

    def _refuse_while_limited(self) -> None:
        if time.monotonic() < self._blocked_until:
            raise self._limit_error()

    def _limit_error(self) -> BackendError:
        wait = self._blocked_until - time.monotonic()
        fix = f"nothing is sent for {wait:.0f} s; raise `refresh`, or use a token of its own"
        return BackendError("rate_limited", self._blocked_by, fix=fix, retry_after_s=wait, status=429)
