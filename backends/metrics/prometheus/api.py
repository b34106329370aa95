"""The door of a server that speaks Prometheus' HTTP API: its URL, credentials, and one error for each refusal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from msgspec import Struct, field
from msgspec.structs import replace

from backends.credentials import (
    Authentication,
    Keyring,
    ServerAccess,
    refuse_bad_url,
    refuse_literal_secrets,
    server_access,
)
from backends.errors import BackendError
from backends.http import Answer, decode_json, refusal
from backends.metrics.prometheus.wire import Envelope
from backends.missing import missing
from backends.redaction import quoted, redact_url
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.text import clean

API = "/api/v1"
TENANT_HEADER = "X-Scope-OrgID"
LONGEST_IN_URL = 2000  # encoded; proxies begin to refuse at 4 to 8 kB
SLOW_TO_DECODE = 100_000
FIX_QUERY = "correct the query: try it on the server's own page"
REFUSED_QUERY = frozenset({400, 422})

T = TypeVar("T")


class Access(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How such a server is entered.

    headers: sent with every request; a value may be a reference.
    auth: a user with a password, or a token.
    tenant: sent as X-Scope-OrgID: Mimir, Cortex, Thanos.
    params: go with every query, as `{ dedup = "true", partial_response = "false" }`.
    timeout: of one request.
    """

    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    tenant: str = ""
    params: dict[str, str] = field(default_factory=dict)
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        refuse_literal_secrets(self.headers)
        if self.tenant and TENANT_HEADER.casefold() in map(str.casefold, self.headers):
            raise ValueError(f"tenant: headers has {TENANT_HEADER} already")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class PrometheusApi:
    """Reads one server. `where` is its URL as it may be shown, known after the first read where it is a reference."""

    def __init__(self, url: str | Secret, access: Access, context: AdapterContext) -> None:
        self.where = redact_url(_base(url)) if isinstance(url, str) else "Prometheus"
        self.access = access
        self._url = url
        self._http = context.http
        self._base_dir = context.base_dir
        self._keys = Keyring(self._access)

    async def entered(self, ask: Callable[[ServerAccess], Awaitable[T]]) -> T:
        """What `ask` gives, as `Keyring.entered`. Raises BackendError."""
        return await self._keys.entered(ask)

    async def _access(self) -> ServerAccess:
        access = self.access
        found = await server_access(self._url, access.headers, access.auth, self._base_dir)
        base = _base(found.base)
        self.where = redact_url(base)
        tenant = {TENANT_HEADER: access.tenant} if access.tenant else {}
        return ServerAccess(base, {**found.headers, **tenant}, found.auth)

    async def read(self, path: str, shape: type[T], params: Mapping[str, str] | None = None) -> tuple[T, Envelope]:
        """`data` of `/api/v1/<path>`, and what is around it. Raises BackendError."""

        async def ask(access: ServerAccess) -> tuple[T, Envelope]:
            answer = await self._ask(f"{access.base}{API}/{path}", {**self.access.params, **(params or {})}, access)
            if answer.status < 300:
                envelope = await _decoded(answer, Envelope)
                if envelope.status == "success":
                    self.tell_partial(envelope.said)
                    return await _decoded(replace(answer, body=bytes(envelope.data)), shape), envelope
            raise refused_by(answer, access)

        return await self._keys.entered(ask)

    async def _ask(self, url: str, params: Mapping[str, str], access: ServerAccess) -> Answer:
        """A GET, or a form where the query is long."""
        form = urlencode(params).encode()
        timeout = float(self.access.timeout)
        if len(form) <= LONGEST_IN_URL:
            return await self._http.get(
                url, params=params, headers=access.headers, auth=access.auth, timeout=timeout, accept_errors=True
            )
        headers = {"content-type": "application/x-www-form-urlencoded", **access.headers}
        return await self._http.request(
            "POST", url, content=form, headers=headers, auth=access.auth, timeout=timeout, accept_errors=True
        )

    def tell_partial(self, warnings: tuple[str, ...]) -> None:
        """What the server warned of may lack what a store behind it has."""
        if warnings:
            words = f"{self.where}: the answer may be incomplete: {quoted('; '.join(warnings))}"
            missing(BackendError("unreachable", words, fix="look at the stores behind this server", answered=True))

    def nothing_proven(self, warnings: tuple[str, ...]) -> BackendError:
        """For an empty answer with warnings: nobody can tell what is not there from what was not read."""
        return BackendError(
            "unreachable",
            f"{self.where}: an empty answer that may be incomplete: {quoted('; '.join(warnings))}",
            fix="look at the stores behind this server",
        )


def refused_by(answer: Answer, access: ServerAccess) -> BackendError:
    """The error for an answer that is no success, in the server's own words where it has some."""
    try:
        envelope = decode_json(answer.body, Envelope, where=answer.url)
    except BackendError as odd:
        if answer.status < 300:
            return BackendError(odd.kind, odd.message, status=answer.status)
        envelope = Envelope()
    error = refusal(answer, headers=access.headers, auth=access.auth, said=envelope.error)
    if answer.status < 300:
        said = "" if envelope.error else f', and its status is "{clean(envelope.status, 40)}"'
        return BackendError("malformed", error.message + said, status=answer.status)
    if envelope.error_type in ("timeout", "canceled"):
        return BackendError(
            "timeout", error.message, fix="make the query cheaper, or raise `timeout`", status=answer.status
        )
    if envelope.error and answer.status in REFUSED_QUERY:
        return BackendError("config", error.message, fix=FIX_QUERY, status=answer.status)
    return error


def refuse_bad_server(url: str | Secret) -> None:
    """ValueError where `url` cannot be the start of every request."""
    refuse_bad_url("url", url)
    if isinstance(url, str) and ("?" in url or "#" in url):
        raise ValueError("url: it ends before the `?`; what follows belongs in `params`")


def _base(url: str) -> str:
    return url.strip().rstrip("/").removesuffix(API).rstrip("/")


async def _decoded(answer: Answer, shape: type[T]) -> T:
    if len(answer.body) < SLOW_TO_DECODE:
        return answer.decode(shape)
    return await asyncio.to_thread(answer.decode, shape)
