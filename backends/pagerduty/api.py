"""PagerDuty's REST API v2: its token, pages, limits and words for errors. For every adapter of it.

Where PagerDuty says that we ask too much, nothing is sent until it may be.
API: https://developer.pagerduty.com/api-reference, limits: https://support.pagerduty.com/docs/rest-api-rate-limits
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from msgspec import Raw, Struct, field

from backends.credentials import Keyring, refuse_bad_url, refuse_literal_secrets
from backends.entered import trusting
from backends.errors import BackendError
from backends.http import Answer, decode_json, refusal
from backends.records import decode_mended
from backends.redaction import learn
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, SecretError, reveal
from backends.text import clean

T = TypeVar("T")

PAGE = 100
MAX_RECORDS = 10_000
"""PagerDuty refuses to look further (`offset` + `limit`)."""
LIMIT_WAIT_S = 60.0  # where it does not say how long: limits are of a minute
_PASSING = frozenset({502, 503, 504})
_ACCEPT = "application/vnd.pagerduty+json;version=2"
_FIX_AUTH = "check the token, and what its user may do; the EU region has another `url`: https://api.eu.pagerduty.com"


class PagerDutyAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account of PagerDuty and how it is entered.

    token: a user's own API key (orders are that user's), or a general one.
    url: of the API; of the EU region: https://api.eu.pagerduty.com.
    headers: sent with every request; a value may be a reference.
    ca_file: whose certificates are trusted for `url`.
    timeout: of one request.
    """

    token: Secret
    url: str = "https://api.pagerduty.com"
    headers: dict[str, str | Secret] = field(default_factory=dict)
    ca_file: str = ""
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)


class User(Struct, frozen=True):
    """A user as `/users/me` tells it; `email` goes into the header `From` of an order."""

    id: str
    name: str = ""
    email: str = ""
    time_zone: str = ""


class _Me(Struct):
    user: User


class _Said(Struct):
    message: str = ""
    errors: tuple[str, ...] = ()


class _Refused(Struct):
    error: _Said | str = ""


class PagerDutyApi:
    """One account, by one token."""

    def __init__(self, config: PagerDutyAccess, context: AdapterContext) -> None:
        self.where = config.url.rstrip("/")
        self._config = config
        self._base_dir = context.base_dir
        self._own_http = trusting(config.ca_file, context.base_dir)
        self._http = self._own_http or context.http
        self._keys = Keyring(self._headers)
        self._me: User | None = None
        self._asked_me = False
        self._blocked_until = 0.0

    async def get(self, path: str, shape: type[T], params: Mapping[str, Any] | None = None) -> T:
        """The answer as `shape`; lists of `params` as `name[]`. Raises BackendError: `rate_limited` with the time it
        lasts."""
        answer = await self._send("GET", path, params=params)
        return decode_mended(answer.body, shape, where=answer.url)

    async def pages(
        self, path: str, key: str, shape: type[T], params: Mapping[str, Any] | None = None, *, most: int = MAX_RECORDS
    ) -> tuple[list[T], bool]:
        """The records under `key` of all pages, at most `most`, and whether that is all of them. What is added
        meanwhile may come twice. Raises as `get`."""
        found: list[T] = []
        while len(found) < most:
            limit = min(PAGE, most - len(found))
            answer = await self._send("GET", path, params={**(params or {}), "limit": limit, "offset": len(found)})
            page = decode_json(answer.body, dict[str, Raw], where=answer.url)
            if key not in page:
                raise BackendError("malformed", f"{answer.url}: no `{key}` in the answer")
            records = decode_mended(bytes(page[key]), list[shape], where=answer.url)  # type: ignore[valid-type]  # of the caller
            found += records
            if bytes(page.get("more", Raw(b"false"))) != b"true":
                return found, True
            if not records:
                raise BackendError("malformed", f"{answer.url}: an empty page that says there is more")
        return found, False

    async def write(self, method: str, path: str, body: Any, shape: type[T], *, by: str) -> T:
        """Sent once, in the name of the user with the email `by`. Raises as `get`; `error.status` is null where nobody
        knows whether it arrived."""
        answer = await self._send(method, path, json=body, headers={"from": by})
        return decode_mended(answer.body, shape, where=answer.url)

    async def me(self) -> User | None:
        """Whose token it is; None where it is a general one, which is nobody's (400). Raises as `get`."""
        if not self._asked_me:
            try:
                self._me = (await self.get("/users/me", _Me)).user
            except BackendError as error:
                if error.status != 400:
                    raise
            self._asked_me = True
        return self._me

    async def aclose(self) -> None:
        """Close what is not shared."""
        if self._own_http is not None:
            await self._own_http.aclose()

    async def _headers(self) -> dict[str, str]:
        known = {name: await reveal(value, self._base_dir) for name, value in self._config.headers.items()}
        token = (await self._config.token.resolve(self._base_dir)).strip()
        if not token.isascii() or not token.isprintable():
            raise SecretError(f"token ({self._config.token}): a line break or a letter outside ASCII")
        learn(token)
        self._asked_me = False  # another token may be another user's
        return {**known, "accept": _ACCEPT, "content-type": "application/json", "authorization": f"Token token={token}"}

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        url = self.where + path

        async def ask(own: dict[str, str]) -> Answer:
            self._refuse_while_limited()
            sent = {**own, **(headers or {})}
            get = partial(self._http.get, passing=_PASSING)
            send = get if method == "GET" else partial(self._http.request, method, json=json)
            answer = await send(
                url, params=params, headers=sent, timeout=float(self._config.timeout), accept_errors=True
            )
            self._learn_limit(answer)
            if answer.status < 300:
                return answer
            raise self._refused(answer, sent)

        return await self._keys.entered(ask)

    def _learn_limit(self, answer: Answer) -> None:
        """429, or the last request of this minute: nothing is sent for as long as it says."""
        said = answer.headers.get("retry-after") or answer.headers.get("ratelimit-reset") or ""
        wait_s = float(said) if said.isdecimal() else LIMIT_WAIT_S
        if answer.status == 429 or answer.headers.get("ratelimit-remaining") == "0":
            self._blocked_until = time.monotonic() + wait_s

    def _refuse_while_limited(self) -> None:
        wait_s = self._blocked_until - time.monotonic()
        if wait_s > 0:
            fix = f"nothing is sent for {wait_s:.0f} s; raise `refresh`, or use a token of its own"
            words = f"{self.where}: the limit of requests is reached"
            raise BackendError("rate_limited", words, fix=fix, retry_after_s=wait_s, status=429)

    def _refused(self, answer: Answer, headers: Mapping[str, str]) -> BackendError:
        if answer.status == 429:
            self._refuse_while_limited()
        try:
            told = answer.decode(_Refused).error
        except BackendError:
            told = ""
        said = told if isinstance(told, str) else ": ".join(filter(None, (told.message, "; ".join(told.errors))))
        error = refusal(answer, headers=headers, said=said)
        if error.kind == "auth":
            return BackendError("auth", error.message, fix=_FIX_AUTH, status=answer.status)
        return error


def path_of(*parts: str) -> str:
    """A path of names that come from outside: `/incidents/PT4KHLK/notes`."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def page_of(url: str | None) -> str | None:
    """A link to PagerDuty's own page, where it is one."""
    return clean(url, 500) if url and url.startswith("https://") else None


def ids_of(key: str, wanted: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The ids of what `key` of the config names, by id or by name; `known`: names by id. PagerDuty answers for an
    unknown one as if it were well. Raises BackendError(config) for what is not there."""
    by_name = {name.casefold(): id_ for id_, name in known.items()}
    found = [name if name in known else by_name.get(name.casefold(), "") for name in wanted]
    if missing := [name for name, id_ in zip(wanted, found, strict=True) if not id_]:
        words = f"{key}: PagerDuty has no {clean(missing[0], 100)}, or the token does not see it"
        raise BackendError("config", words, fix=f"one of: {clean(', '.join(sorted(known.values())), 300) or 'none'}")
    return found
