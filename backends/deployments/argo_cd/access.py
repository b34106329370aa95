"""The session of the `argocd` command line: what `argocd login` keeps, SSO included.

Source: https://argo-cd.readthedocs.io/en/stable/user-guide/commands/argocd_login/
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct, field

from backends.credentials import ServerAccess, bearer
from backends.errors import BackendError
from backends.files import read_regular
from backends.http import without_nulls
from backends.redaction import learn, quoted

MAX_BYTES = 2**20
_LOGIN = "argocd login"


class _Context(Struct):
    name: str = ""
    server: str = ""
    user: str = ""


class _Server(Struct, rename="kebab"):
    server: str = ""
    plain_text: bool = False
    grpc_web_root_path: str = ""


class _User(Struct, rename="kebab"):
    name: str = ""
    auth_token: str = ""


class _File(Struct, rename="kebab"):
    contexts: list[_Context] = field(default_factory=list)
    servers: list[_Server] = field(default_factory=list)
    users: list[_User] = field(default_factory=list)


def session_of(context: str, url: str) -> ServerAccess:
    """The server and the token of that context; `url` where it is not the same. Blocks. Raises BackendError(config)."""
    import yaml

    path = _path()
    try:
        found = msgspec.convert(without_nulls(yaml.safe_load(read_regular(path, MAX_BYTES)) or {}), _File)
    except OSError as error:
        raise BackendError("config", f"argocd: {path}: {error.strerror or error}", fix=_LOGIN) from None
    except (yaml.YAMLError, RecursionError, msgspec.ValidationError):  # its words would quote a token
        raise BackendError("config", f"argocd: {path}: not as `argocd login` writes it", fix=_LOGIN) from None
    chosen = next((each for each in found.contexts if each.name == context), None)
    if chosen is None:
        known = quoted(", ".join(each.name for each in found.contexts)) or "none"
        raise BackendError("config", f'argocd: no context "{quoted(context, 128)}" in {path}', fix=f"known: {known}")
    user = next((each for each in found.users if each.name == chosen.user), _User())
    server = next((each for each in found.servers if each.server == chosen.server), _Server(server=chosen.server))
    learn(user.auth_token)
    scheme = "http" if server.plain_text else "https"
    base = url or f"{scheme}://{server.server}/{server.grpc_web_root_path.strip('/')}"
    token = bearer(f"argocd context {quoted(context, 128)}", user.auth_token)
    return ServerAccess(base.rstrip("/"), {"authorization": token}, None)


def _path() -> Path:
    home = os.environ.get("ARGOCD_CONFIG_DIR")
    if home:
        return Path(home) / "config"
    new = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "argocd" / "config"
    old = Path.home() / ".argocd" / "config"
    return old if old.exists() else new
