"""What a config entry says to prove who asks an HTTP system: headers and `auth`, secrets resolved when needed.

```toml
headers = { X-Scope-OrgID = "team-a", X-Api-Key = { env = "API_KEY" } }
auth = { username = "oncall", password = { env = "API_PASSWORD" } }   # or: auth = { token = { env = "API_TOKEN" } }
```
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from backends.errors import BackendError
from backends.flight import Flight
from backends.literals import is_secret_header
from backends.redaction import basic, learn
from backends.settings import Secret, SecretError, refuse_password_in_url, reveal

K = TypeVar("K")
T = TypeVar("T")

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Authentication(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either a user with a password (basic), or a token (bearer).

    username: for basic authentication, with `password`.
    password: of that user.
    token: sent as a bearer token; one from a command is asked for anew after a 401.
    """

    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None

    def __post_init__(self) -> None:
        basic = self.username is not None and self.password is not None
        if basic == (self.token is not None) or (self.username is None) != (self.password is None):
            raise ValueError("auth: { username, password } or { token }")


class Credentials(Struct, frozen=True):
    """The same with its secrets, for one request: as `Http.request` takes them."""

    headers: dict[str, str]
    auth: tuple[str, str] | None


class ServerAccess(Struct, frozen=True):
    """A server and the same. `base` has no slash at its end."""

    base: str
    headers: dict[str, str]
    auth: tuple[str, str] | None


async def server_access(
    url: str | Secret, headers: Mapping[str, str | Secret], auth: Authentication | None, base_dir: Path | None
) -> ServerAccess:
    """Raises SecretError as `credentials`."""
    base = (await reveal(url, base_dir)).strip().rstrip("/")
    known = await credentials(headers, auth, base_dir)
    return ServerAccess(base, known.headers, known.auth)


async def credentials(
    headers: Mapping[str, str | Secret], auth: Authentication | None, base_dir: Path | None
) -> Credentials:
    """Raises SecretError for a reference that leads nowhere, or to what no header can hold."""
    resolved = {name: _sendable(f"headers.{name}", await reveal(value, base_dir)) for name, value in headers.items()}
    if auth is None:
        return Credentials(resolved, None)
    if auth.token is not None:
        token = bearer(f"auth.token ({auth.token})", await auth.token.resolve(base_dir))
        return Credentials({**resolved, "authorization": token}, None)
    assert auth.username is not None
    assert auth.password is not None
    pair = auth.username, await auth.password.resolve(base_dir)
    learn(basic(*pair))
    return Credentials(resolved, pair)


def bearer(what: str, token: str) -> str:
    """The header of a token. Raises SecretError for one that is none; `what` says where it is from."""
    if not token.strip():
        raise SecretError(f"{what}: it is empty")
    return f"Bearer {_sendable(what, token)}"


def _sendable(what: str, value: str) -> str:
    value = value.strip()
    if value.isascii() and value.isprintable():
        return value
    raise SecretError(f"{what}: a line break or a letter outside ASCII", "see what it gives: it must be one line")


class Keyring(Generic[K]):
    """What one entry is entered with, for all its requests: got once, since a reference may be a slow command, and anew
    where a server refused it. Belongs to one event loop."""

    def __init__(self, get: Callable[[], Awaitable[K]]) -> None:
        self._known: K | None = None
        self._is_refused = False
        self._getting = Flight(get)

    async def current(self) -> K:
        """Raises as `get` does."""
        return await self._get() if self._known is None or self._is_refused else self._known

    async def entered(self, ask: Callable[[K], Awaitable[T]]) -> T:
        """What `ask` gives. It is asked once more where a server refused the credentials (401: nothing was done) and
        others are to be had; of many that were refused the same ones, one gets others for all. Raises as `ask` and
        `get` do."""
        known = await self.current()
        try:
            return await ask(known)
        except BackendError as error:
            if not self._refuses(error, known) or error.status != HTTPStatus.UNAUTHORIZED:
                raise
            # Whoever was refused the same ones and comes later finds what the first got.
            fresh = await self._get() if self._known is known or self._known is None else self._known
            if fresh == known:
                self._refuses(error, fresh)
                raise
        try:
            return await ask(fresh)
        except BackendError as error:
            self._refuses(error, fresh)
            raise

    async def _get(self) -> K:
        self._known = known = await self._getting()
        self._is_refused = False
        return known

    def _refuses(self, error: BackendError, used: K) -> bool:
        is_refused = error.status in _REFUSED
        if is_refused and used is self._known:
            self._is_refused = True
        return is_refused


def refuse_bad_url(key: str, url: str | Secret) -> None:
    """ValueError where `url` holds a password, or is not one of HTTP; a reference is looked at when it is resolved."""
    if isinstance(url, str):
        refuse_password_in_url(url)
        if not url.casefold().startswith(("http://", "https://")):
            raise ValueError(f"{key}: it begins with http:// or https://")


def plain_host(key: str, host: str) -> str:
    """A name or an address as a connection takes it: `[::1]` without its brackets. ValueError for anything else."""
    found = host.strip()
    if found.startswith("[") and found.endswith("]"):
        found = found[1:-1]
        if ":" not in found:
            raise ValueError(f"{key}: brackets are for IPv6, as in [::1]")
    if not found:
        raise ValueError(f"{key}: it is empty")
    if "://" in found or set(found) & set("/[]@ \t") or found.count(":") == 1:
        raise ValueError(f"{key}: a name or an address alone, without scheme, path and port")
    return found


def refuse_literal_secrets(headers: Mapping[str, str | Secret]) -> None:
    """ValueError where a header that holds a secret is written out."""
    for name, value in headers.items():
        if isinstance(value, str) and is_secret_header(name):
            raise ValueError(f'headers.{name}: a literal secret: use a reference, e.g. {{ env = "NAME" }}')
