"""What a config entry says to prove who asks an HTTP system: headers and `auth`, secrets resolved when needed.

```toml
headers = { X-Scope-OrgID = "team-a", X-Api-Key = { env = "API_KEY" } }
auth = { username = "oncall", password = { env = "API_PASSWORD" } }   # or: auth = { token = { env = "API_TOKEN" } }
```
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from backends.redaction import basic, learn
from backends.settings import Secret, refuse_password_in_url, reveal

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"})


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


async def credentials(
    headers: Mapping[str, str | Secret], auth: Authentication | None, base_dir: Path | None
) -> Credentials:
    """Raises SecretError for a reference that leads nowhere."""
    resolved = {name: await reveal(value, base_dir) for name, value in headers.items()}
    if auth is None:
        return Credentials(resolved, None)
    if auth.token is not None:
        return Credentials({**resolved, "authorization": f"Bearer {await auth.token.resolve(base_dir)}"}, None)
    assert auth.username is not None
    assert auth.password is not None
    pair = auth.username, await auth.password.resolve(base_dir)
    learn(basic(*pair))
    return Credentials(resolved, pair)


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
        if isinstance(value, str) and name.casefold() in _SECRET_HEADERS:
            raise ValueError(f'headers.{name}: a literal secret: use a reference, e.g. {{ env = "NAME" }}')
