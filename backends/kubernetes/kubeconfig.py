"""How `kubectl` would reach a cluster: one context of the kubeconfig.

Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

# The `kubernetes` package would load it too. Importing it costs 0.7 s of CPU (1.4 s and 140 MB in older versions), for
# which a rollback would wait; and in a console its plugins would read the operator's keys, have no time limit, and
# fail without a word. It is asked for the auth providers that came before plugins.

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from backends.errors import BackendError
from backends.files import read_regular
from backends.http import without_nulls
from backends.paths import path_of
from backends.redaction import quoted
from backends.text import clean

DEFAULT_FILE = "~/.kube/config"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_BYTES = 8 * 2**20


class Cluster(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where the API server is, and how its certificate is checked."""

    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None


class ExecVariable(Struct, frozen=True):
    """One environment variable of a plugin."""

    name: str = ""
    value: str = ""


class Exec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A plugin that prints credentials."""

    command: str
    api_version: str
    args: list[str] | None = None
    env: list[ExecVariable] | None = None
    install_hint: str = ""
    interactive_mode: str = "IfAvailable"
    provide_cluster_info: bool = False


class User(Struct, frozen=True, kw_only=True, rename="kebab"):
    """How we say who we are; `exec` is a plugin, `auth_provider` one of the ways before plugins."""

    token: str | None = None
    token_file: str | None = field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: Exec | None = None
    auth_provider: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return "User(…)"


class _Context(Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(Struct, frozen=True):
    name: str = ""
    cluster: Cluster = Cluster()


class _NamedUser(Struct, frozen=True):
    name: str = ""
    user: User = User()


class _NamedContext(Struct, frozen=True):
    name: str = ""
    context: _Context = _Context()


class _File(Struct, frozen=True, kw_only=True, rename="kebab"):
    current_context: str = ""
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


class Access(Struct, frozen=True, kw_only=True):
    """One context of a kubeconfig. Relative paths of `cluster` start at `cluster_dir`, those of `user` at `user_dir`.

    `pinned`: the context was named, and is not what `kubectl config use-context` chose last.
    """

    context: str
    namespace: str
    user_name: str
    cluster: Cluster
    user: User
    cluster_dir: Path
    user_dir: Path
    files: tuple[Path, ...] = ()
    pinned: bool = True

    @property
    def where(self) -> str:
        """The cluster in words."""
        return clean(self.context or self.cluster.server, 128)

    @property
    def cluster_words(self) -> str:
        """`prod (https://10.0.0.1:6443)`: two clusters may be behind contexts that are called alike."""
        server = quoted(self.cluster.server, 200)
        return f"{self.where} ({server})" if self.context else server


def at_cluster(name: str, where: str) -> str:
    """`name` with its cluster, as the config calls that (empty: it does not): objects of two clusters may be called
    alike, and no order to one of them may be carried out in the other."""
    return f"{name} at {where}" if where else name


def load_access(kubeconfig: str, context: str, base_dir: Path) -> Access:
    """The context of that name (empty: the current one) from a kubeconfig (empty: as `kubectl` looks for it, then the
    service account of the pod we run in). Blocks; runs no plugin. Raises BackendError(config)."""
    paths = [path_of(kubeconfig, base_dir)] if kubeconfig else _usual_files()
    found = {path: _read(path) for path in paths if kubeconfig or not _is_absent(path)}
    if not found:
        if os.environ.get("KUBERNETES_SERVICE_HOST") and not context:
            return _in_cluster()
        where = ", ".join(str(path) for path in paths)
        raise BackendError("config", f"no kubeconfig at {where}", fix="set `kubeconfig` of this entry, or $KUBECONFIG")
    name = context or next((file.current_context for file in found.values() if file.current_context), "")
    if not name:
        raise BackendError("config", "the kubeconfig has no current-context", fix="set `kube_context` of this entry")
    contexts = {one.name: one.context for file in reversed(found.values()) for one in file.contexts or ()}
    clusters = {one.name: (one.cluster, path) for path, file in _reversed(found) for one in file.clusters or ()}
    users = {one.name: (one.user, path) for path, file in _reversed(found) for one in file.users or ()}
    if name not in contexts:
        known = clean(", ".join(sorted(contexts)), 200) or "none"
        raise BackendError("config", f'no context "{clean(name, 128)}" in the kubeconfig', fix=f"known: {known}")
    chosen = contexts[name]
    if chosen.cluster not in clusters or not clusters[chosen.cluster][0].server:
        raise BackendError("config", f'context "{clean(name, 128)}": no cluster "{clean(chosen.cluster, 128)}"')
    if chosen.user and chosen.user not in users:
        raise BackendError("config", f'context "{clean(name, 128)}": no user "{clean(chosen.user, 128)}"')
    cluster, cluster_path = clusters[chosen.cluster]
    user, user_path = users.get(chosen.user, (User(), cluster_path))
    return Access(
        context=name,
        namespace=chosen.namespace,
        user_name=chosen.user,
        cluster=cluster,
        user=user,
        cluster_dir=cluster_path.parent,
        user_dir=user_path.parent,
        files=tuple(found),
        pinned=bool(context),
    )


def _usual_files() -> list[Path]:
    listed = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return [path_of(name, Path()) for name in listed or [DEFAULT_FILE]]


def _is_absent(path: Path) -> bool:
    """One that may not be looked at is no reason to take another cluster: who reads it says so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _reversed(found: Mapping[Path, _File]) -> list[tuple[Path, _File]]:
    return list(found.items())[::-1]  # of several files the first to name something wins, as with kubectl


def _read(path: Path) -> _File:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 15 times as fast, where it was built
    try:
        content = read_regular(path, MAX_BYTES)
        return msgspec.convert(without_nulls(yaml.load(content, Loader=loader) or {}), _File)
    except OSError as error:
        raise BackendError("config", f"kubeconfig {path}: {error.strerror or error}") from None
    except RecursionError:
        raise BackendError("config", f"kubeconfig {path}: nested too deeply") from None
    except yaml.YAMLError as error:
        # Its words would quote the line, which may be a token.
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise BackendError("config", f"kubeconfig {path}: not YAML{line}") from None
    except msgspec.ValidationError as error:
        raise BackendError("config", f"kubeconfig {path}: {quoted(str(error))}") from None


def _in_cluster() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
    return Access(
        context="in-cluster",
        namespace=namespace,
        user_name="the service account of this pod",
        cluster=Cluster(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            certificate_authority=str(SERVICE_ACCOUNT / "ca.crt"),
        ),
        user=User(token_file=str(SERVICE_ACCOUNT / "token")),
        cluster_dir=SERVICE_ACCOUNT,
        user_dir=SERVICE_ACCOUNT,
    )
