"""Who we are in a cluster: what the kubeconfig holds, or what its plugin prints; and the TLS that goes with it.

Source: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
"""

import asyncio
import base64
import os
import re
import ssl
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from backends.credentials import bearer
from backends.environment import without_secrets
from backends.errors import BackendError
from backends.files import read_regular
from backends.http import decode_json
from backends.imports import import_in_turn
from backends.kubernetes.kubeconfig import Access, Exec, User
from backends.ownership import Unsafe, refuse_unsafe, refuse_unsafe_command
from backends.paths import path_of
from backends.redaction import SECRET_NAME, basic, learn, quoted
from backends.settings import run_quietly
from backends.text import clean
from backends.tls import NamedTls

PLUGIN_TIMEOUT_S = 30.0
RENEW_BEFORE_S = 60.0
TOKEN_FILE_S = 60.0  # a mounted token is replaced by the kubelet while we run


class Identity(Struct, frozen=True, kw_only=True):
    """Who we are until `expires_at` (Unix time): a header, or a certificate with its key (PEM)."""

    authorization: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return "Identity(…)"

    @property
    def is_stale(self) -> bool:
        """Too near to its end to be used for another request."""
        return self.expires_at is not None and time.time() > self.expires_at - RENEW_BEFORE_S


async def identify(access: Access) -> Identity:
    """Who we are, from the user of the context; runs its plugin. Raises BackendError: config, auth."""
    user = access.user
    learn(user.token, user.password, access.cluster.server, access.cluster.proxy_url, *_secrets_of(user))
    if user.exec is not None:
        identity = await _run_plugin(user.exec, access)
    elif user.auth_provider is not None:
        identity = await asyncio.to_thread(_ask_library, access)
    else:
        identity = await asyncio.to_thread(_written_down, access)
    learn((identity.authorization or "").partition(" ")[2])
    return identity


def tls_context(access: Access, identity: Identity) -> ssl.SSLContext:
    """TLS as the cluster wants it. Blocks for a moment. Raises BackendError(config)."""
    cluster = access.cluster
    try:
        authority = _file_or_data(
            cluster.certificate_authority,
            cluster.certificate_authority_data,
            access.cluster_dir,
            "certificate-authority",
        )
        context = NamedTls(ssl.PROTOCOL_TLS_CLIENT)
        context.name = cluster.tls_server_name
        if cluster.insecure_skip_tls_verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif authority is not None:
            context.load_verify_locations(cadata=authority.decode("ascii", "replace"))
        else:
            context.load_default_certs()
        if identity.certificate is not None and identity.key is not None:
            # OpenSSL reads a key from a file only: a private one, gone before anything else happens.
            with tempfile.NamedTemporaryFile() as both:
                both.write(identity.certificate + b"\n" + identity.key)
                both.flush()
                context.load_cert_chain(both.name, password=_no_prompt)
    except (ssl.SSLError, ValueError) as error:
        words = clean(str(error), 200)
        raise BackendError("config", f"{access.where}: its certificates cannot be used: {words}") from None
    return context


def _secrets_of(user: User) -> list[str]:
    """What its plugin or its provider is given that is a secret by its name."""
    given = {one.name: one.value for one in (user.exec.env or [] if user.exec is not None else [])}
    provided = (user.auth_provider or {}).get("config")
    given |= provided if isinstance(provided, dict) else {}
    return [str(value) for name, value in given.items() if re.search(SECRET_NAME, str(name))]


def _written_down(access: Access) -> Identity:
    user, directory = access.user, access.user_dir
    authorization, expires_at = None, None
    if user.token_file:
        token = (_file_or_data(user.token_file, None, directory, "tokenFile") or b"").decode("utf-8", "replace")
        authorization = bearer(f"{access.where}: tokenFile {clean(user.token_file, 200)}", token)
        expires_at = time.time() + TOKEN_FILE_S + RENEW_BEFORE_S
    elif user.token:
        authorization = bearer(f"{access.where}: token", user.token)
    elif user.username is not None and user.password is not None:
        authorization = f"Basic {basic(user.username, user.password)}"
    return Identity(
        authorization=authorization,
        certificate=_file_or_data(
            user.client_certificate, user.client_certificate_data, directory, "client-certificate"
        ),
        key=_file_or_data(user.client_key, user.client_key_data, directory, "client-key"),
        expires_at=expires_at,
    )


def _file_or_data(name: str | None, data: str | None, directory: Path, what: str) -> bytes | None:
    if data:
        try:
            return base64.b64decode(data)
        except ValueError:
            raise BackendError("config", f"kubeconfig: {what}-data is not base64") from None
    if not name:
        return None
    try:
        return read_regular(path_of(name, directory))
    except OSError as error:
        raise BackendError("config", f"kubeconfig: {what} {name}: {error.strerror or error}") from None


def _no_prompt() -> str:
    raise ValueError("the client key is encrypted, and nobody is asked for a pass phrase here")


class _Credential(Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(Struct, rename="camel"):
    api_version: str
    status: _Credential


def _refuse_unsafe(command: str, access: Access) -> None:
    """A plugin is run on the word of the kubeconfig. Raises OSError."""
    for path in access.files:
        refuse_unsafe(path)
    refuse_unsafe_command([command], access.user_dir)


async def _run_plugin(plugin: Exec, access: Access) -> Identity:
    name = clean(plugin.command, 128)
    if plugin.interactive_mode == "Always":
        fix = "sign in where it can ask, or use a credential that needs no terminal"
        raise BackendError("auth", f"{access.where}: {name} wants to ask something at a terminal", fix=fix)
    command = plugin.command
    if "/" in command:
        command = str(access.user_dir / command)
    env = {**without_secrets(), **{one.name: one.value for one in plugin.env or ()}}
    env["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(_exec_info(plugin, access)).decode()
    try:
        await asyncio.to_thread(_refuse_unsafe, command, access)
        ran = await run_quietly(
            [command, *(plugin.args or ())], timeout_s=PLUGIN_TIMEOUT_S, cwd=access.user_dir, env=env, keep_stderr=True
        )
    except TimeoutError:
        raise BackendError("auth", f"{access.where}: {name}: no answer in {PLUGIN_TIMEOUT_S:g} s") from None
    except Unsafe as unsafe:
        raise BackendError("config", f"{access.where}: {unsafe.words}", fix=unsafe.fix) from None
    except OSError as error:
        fix = clean(plugin.install_hint, 300) or "install it, or correct the user's `exec` in the kubeconfig"
        raise BackendError("config", f"{access.where}: {name}: {error.strerror or error}", fix=fix) from None
    if ran.status != 0:
        lines = ran.complaint.decode("utf-8", "replace").strip().splitlines()
        said = f": {quoted(lines[-1])}" if lines else ""
        fix = f"run it by hand: {name}; it may want you to sign in again"
        raise BackendError("auth", f"{access.where}: {name}: exit status {ran.status}{said}", fix=fix)
    try:
        credential = decode_json(ran.output, _ExecCredential, where=name)
    except BackendError:
        raise BackendError("auth", f"{access.where}: {name} printed no ExecCredential") from None
    if credential.api_version != plugin.api_version:
        words = f"speaks {clean(credential.api_version, 64)}, the kubeconfig says {clean(plugin.api_version, 64)}"
        raise BackendError("config", f"{access.where}: {name} {words}")
    status = credential.status
    if not status.token and not (status.client_certificate_data and status.client_key_data):
        raise BackendError("auth", f"{access.where}: {name} gave neither a token nor a certificate with its key")
    ends = status.expiration_timestamp
    return Identity(
        authorization=bearer(f"{access.where}: the token of {name}", status.token) if status.token else None,
        certificate=status.client_certificate_data.encode() if status.client_certificate_data else None,
        key=status.client_key_data.encode() if status.client_key_data else None,
        expires_at=None if ends is None else ends.replace(tzinfo=ends.tzinfo or UTC).timestamp(),
    )


def _exec_info(plugin: Exec, access: Access) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        cluster = access.cluster
        known = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify or None,
            "certificate-authority-data": cluster.certificate_authority_data,
            "proxy-url": cluster.proxy_url,
        }
        spec["cluster"] = {key: value for key, value in known.items() if value is not None}
    return {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}


def _ask_library(access: Access) -> Identity:
    """`auth-provider` (OIDC, GCP), which kubectl has dropped and the client library still refreshes."""
    import_in_turn("kubernetes.client", "kubernetes.config")
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]  # it has no types
            os.pathsep.join(str(path) for path in access.files), access.context, settings, persist_config=False
        )
    except Exception as error:  # it raises what its own libraries do
        words = f"auth-provider: {type(error).__name__}: {quoted(str(error))}"
        raise BackendError("auth", f"{access.where}: {words}", fix="use an `exec` plugin instead") from None
    token = settings.api_key.get("BearerToken") or settings.api_key.get("authorization")
    if not token:
        raise BackendError(
            "auth", f"{access.where}: its auth-provider gave no token", fix="use an `exec` plugin instead"
        )
    return Identity(authorization=token, expires_at=time.time() + 5 * 60)
