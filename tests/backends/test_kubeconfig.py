"""The kubeconfig as `kubectl` reads it: which cluster, as whom, with which TLS; and what is wrong with it."""

import asyncio
import base64
import json
import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.errors import BackendError
from backends.kubernetes import identity as kubernetes_identity
from backends.kubernetes import kubeconfig
from backends.kubernetes.identity import identify, tls_context
from backends.kubernetes.kubeconfig import Access, Cluster, User, load_access
from tests.tls import Authority


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def config(name: str = "prod", user: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example:6443"}}],
        "users": [{"name": "oncall", "user": user if user is not None else {"token": "hunter2"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "oncall", "namespace": "analytics"}}],
        **more,
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def refused(kubeconfig_path: str, context: str, base: Path) -> BackendError:
    with pytest.raises(BackendError) as caught:
        load_access(kubeconfig_path, context, base)
    assert caught.value.kind == "config"
    assert "hunter2" not in caught.value.message + caught.value.fix
    return caught.value


def access_of(user: dict[str, Any], base: Path, **cluster: Any) -> Access:
    path = write(base / "kubeconfig", config(user=user))
    data = yaml.safe_load(path.read_text())
    data["clusters"][0]["cluster"] |= cluster
    write(path, data)
    return load_access("kubeconfig", "", base)


# ---- which cluster


def test_the_current_context_of_a_file_beside_the_config(tmp_path: Path) -> None:
    write(tmp_path / "kube/config", config())
    found = load_access("kube/config", "", tmp_path)
    assert (found.context, found.namespace, found.user_name) == ("prod", "analytics", "oncall")
    assert found.cluster.server == "https://prod.example:6443"
    assert not found.pinned


def test_a_named_context_is_pinned(tmp_path: Path) -> None:
    data = config()
    data["contexts"].append({"name": "dev", "context": {"cluster": "prod", "user": "oncall"}})
    write(tmp_path / "config", data)
    found = load_access("config", "dev", tmp_path)
    assert (found.context, found.namespace, found.pinned) == ("dev", "", True)


def test_of_several_files_the_first_to_name_something_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "a", config("prod", {"token": "first"}))
    second = write(tmp_path / "b", config("dev", {"token": "second"}))
    monkeypatch.setenv("KUBECONFIG", f"{first}{os.pathsep}{tmp_path / 'missing'}{os.pathsep}{second}")
    assert load_access("", "", tmp_path).context == "prod"
    dev = load_access("", "dev", tmp_path)
    assert dev.cluster.server == "https://dev.example:6443"
    assert dev.user.token == "first"  # both files have a user of that name


def test_without_any_it_is_that_of_the_home_directory(tmp_path: Path) -> None:
    write(tmp_path / "home/.kube/config", config("home"))
    assert load_access("", "", tmp_path).context == "home"


def test_in_a_pod_it_is_the_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "namespace").write_text("analytics\n")
    (tmp_path / "token").write_text("mounted\n")
    found = load_access("", "", tmp_path)
    assert found.cluster.server == "https://[fd00::1]:443"
    assert found.namespace == "analytics"
    identity = asyncio.run(_identify(found))
    assert identity.authorization == "Bearer mounted"
    assert identity.expires_at is not None  # the kubelet replaces it
    assert not identity.is_stale


async def _identify(access: Access) -> kubernetes_identity.Identity:
    found: kubernetes_identity.Identity = await identify(access)
    return found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not YAML in line"),
        ("token: 'hunter2\n  x", "not YAML"),
        ("- a\n- b\n", "Expected `object`"),
        (config() | {"current-context": ""}, "no current-context"),
        (config() | {"current-context": "gone"}, 'no context "gone"'),
        (config() | {"clusters": []}, 'no cluster "prod"'),
        (config() | {"clusters": [{"name": "prod", "cluster": {}}]}, 'no cluster "prod"'),
        (config() | {"users": []}, 'no user "oncall"'),
        (config() | {"users": [{"name": "oncall", "user": {"token": ["hunter2"]}}]}, "$.users[0].user.token"),
        ("", "no current-context"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_one_line(tmp_path: Path, content: Any, says: str) -> None:
    write(tmp_path / "config", content)
    assert says in refused("config", "", tmp_path).message


def test_a_missing_file_and_an_unknown_context_name_what_there_is(tmp_path: Path) -> None:
    assert "No such file" in refused("missing", "", tmp_path).message
    assert "no kubeconfig at" in refused("", "", tmp_path).message
    write(tmp_path / "config", config())
    assert "prod" in refused("config", "staging", tmp_path).fix


# ---- as whom


async def test_tokens_passwords_and_token_files(tmp_path: Path) -> None:
    assert (await identify(access_of({"token": "hunter2"}, tmp_path))).authorization == "Bearer hunter2"
    basic = await identify(access_of({"username": "u", "password": "p:w"}, tmp_path))
    assert basic.authorization == "Basic " + base64.b64encode(b"u:p:w").decode()
    (tmp_path / "token").write_text("from a file\n")
    both = access_of({"tokenFile": "token", "token": "old"}, tmp_path)
    assert (await identify(both)).authorization == "Bearer from a file"
    with pytest.raises(BackendError, match="tokenFile missing"):
        await identify(access_of({"tokenFile": "missing"}, tmp_path))
    assert (await identify(access_of({}, tmp_path))).authorization is None


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    assert "hunter2" not in repr(access_of({"token": "hunter2", "password": "hunter2"}, tmp_path))
    assert "hunter2" not in repr(kubernetes_identity.Identity(authorization="Bearer hunter2"))


def plugin(base: Path, body: str, **more: Any) -> Access:
    script = base / "plugin.sh"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    spec = {"command": "./plugin.sh", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    return access_of({"exec": spec | more}, base)


def credential(**status: Any) -> str:
    body = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"cat <<'END'\n{json.dumps(body)}\nEND"


async def test_a_plugin_gives_a_token_and_says_until_when(tmp_path: Path) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    stamp = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = await identify(plugin(tmp_path, credential(token="fresh", expirationTimestamp=stamp)))
    assert found.authorization == "Bearer fresh"
    assert found.expires_at == until.timestamp()
    assert not found.is_stale
    soon = kubernetes_identity.Identity(authorization="x", expires_at=time.time() + 5)
    assert soon.is_stale


async def test_a_plugin_is_told_its_arguments_its_environment_and_the_cluster_and_no_terminal(tmp_path: Path) -> None:
    body = 'echo "$1 $STAGE $KUBERNETES_EXEC_INFO" > seen; [ -t 0 ] && exit 9; read -r x; ' + credential(token="t")
    access = plugin(
        tmp_path, body, args=["get-token"], env=[{"name": "STAGE", "value": "prod"}], provideClusterInfo=True
    )
    await identify(access)
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("get-token prod ")
    told = json.loads(seen.partition("{")[1] + seen.partition("{")[2])
    assert told["spec"] == {"interactive": False, "cluster": {"server": "https://prod.example:6443"}}


@pytest.mark.parametrize(
    ("body", "more", "kind", "says"),
    [
        ("echo 'token expired: run sso login' >&2; exit 3", {}, "auth", "exit status 3: token expired: run sso login"),
        ("echo no", {}, "auth", "printed no ExecCredential"),
        (credential(), {}, "auth", "neither a token nor a certificate"),
        (credential(token="t").replace("/v1", "/v1beta1"), {}, "config", "speaks client.authentication.k8s.io/v1beta1"),
        (credential(token="t"), {"interactiveMode": "Always"}, "auth", "at a terminal"),
        ("", {"command": "teal-no-such-plugin", "installHint": "get it at example.com"}, "config", "No such file"),
    ],
)
async def test_what_is_wrong_with_a_plugin_is_said_in_one_line(
    tmp_path: Path, body: str, more: dict[str, Any], kind: str, says: str
) -> None:
    with pytest.raises(BackendError) as caught:
        await identify(plugin(tmp_path, body, **more))
    assert caught.value.kind == kind
    assert says in caught.value.message
    assert caught.value.fix


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_identity, "PLUGIN_TIMEOUT_S", 0.5)
    with pytest.raises(BackendError, match=r"no answer in 0.5 s"):
        await identify(plugin(tmp_path, "exec sleep 300"))


async def test_an_old_auth_provider_is_the_client_librarys(tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + 3600}).encode()).decode().rstrip("=")
    claims += "A" * (-len(claims) % 4 == 3)
    token = f"e30.{claims}.c2ln"
    access = access_of({"auth-provider": {"name": "oidc", "config": {"id-token": token}}}, tmp_path)
    assert (await identify(access)).authorization == f"Bearer {token}"
    with pytest.raises(BackendError, match="auth-provider") as caught:
        await identify(access_of({"auth-provider": {"name": "azure"}}, tmp_path))
    assert caught.value.kind == "auth"


# ---- TLS


def test_the_clusters_authority_and_our_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certificate(days=30)
    data = base64.b64encode(authority.bundle.read_bytes()).decode()
    access = access_of(
        {"client-certificate": str(certificate), "client-key": key.name},
        tmp_path,
        **{"certificate-authority-data": data, "tls-server-name": "kubernetes"},
    )
    context = tls_context(access, asyncio.run(_identify(access)))
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_what_cannot_be_used_is_said() -> None:
    def made(**cluster: Any) -> Access:
        return Access(
            context="prod", namespace="", user_name="", cluster=Cluster(server="https://x", **cluster), user=User(),
            cluster_dir=Path("/"), user_dir=Path("/"),
        )  # fmt: skip

    for cluster in ({"certificate_authority_data": "%%"}, {"certificate_authority": "/missing"}):
        with pytest.raises(BackendError) as caught:
            tls_context(made(**cluster), kubernetes_identity.Identity())
        assert caught.value.kind == "config"
    with pytest.raises(BackendError, match="cannot be used"):
        tls_context(made(), kubernetes_identity.Identity(certificate=b"x", key=b"hunter2"))
    assert tls_context(made(insecure_skip_tls_verify=True), kubernetes_identity.Identity()).verify_mode == ssl.CERT_NONE


# ---- null is nothing, as for kubectl


@pytest.mark.parametrize(
    "key", ["args", "env", "installHint", "interactiveMode", "provideClusterInfo", "command", "apiVersion"]
)
async def test_a_null_of_a_plugin_is_nothing(tmp_path: Path, key: str) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        """#!/bin/sh
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": null, "spec": null, "status":
  {"token": "from-plugin", "expirationTimestamp": null, "clientCertificateData": null, "clientKeyData": null}}'
"""
    )
    plugin.chmod(0o755)
    user = {"exec": {"command": "./plugin", "apiVersion": "client.authentication.k8s.io/v1", key: None}}
    if key in ("command", "apiVersion"):  # kubectl does not go on either
        write(tmp_path / "kubeconfig", config(user=user))
        assert key in refused("kubeconfig", "", tmp_path).message
    else:
        assert (await _identify(access_of(user, tmp_path))).authorization == "Bearer from-plugin"


def test_a_null_anywhere_else_is_nothing(tmp_path: Path) -> None:
    nothing = dict.fromkeys(
        (
            "certificate-authority",
            "certificate-authority-data",
            "insecure-skip-tls-verify",
            "tls-server-name",
        )
    )
    who = dict.fromkeys(
        ("tokenFile", "username", "password", "client-certificate", "client-key-data", "exec", "auth-provider")
    )
    cluster = {"server": "https://prod.example:6443", "extensions": None, "proxy-url": None, **nothing}
    data = config(
        clusters=[{"name": "prod", "cluster": cluster}, {"name": "other", "cluster": None}],
        users=[{"name": "oncall", "user": {"token": "hunter2", **who}}, {"name": "nobody", "user": None}],
        contexts=[
            {"name": "prod", "context": {"cluster": "prod", "user": "oncall", "namespace": None}},
            {"name": "other", "context": None},
            {"name": "third", "context": {"cluster": "prod", "user": None}},
        ],
        preferences=None,
    )
    write(tmp_path / "kubeconfig", data)
    found = load_access("kubeconfig", "prod", tmp_path)
    assert (found.cluster, found.user) == (Cluster(server="https://prod.example:6443"), User(token="hunter2"))
    assert load_access("kubeconfig", "third", tmp_path).user == User()
    assert 'no cluster ""' in refused("kubeconfig", "other", tmp_path).message
    write(tmp_path / "kubeconfig", config(clusters=None, users=None, contexts=None))
    assert 'no context "prod"' in refused("kubeconfig", "", tmp_path).message


@pytest.mark.parametrize("spoiled", ["plugin", "kubeconfig"])
async def test_a_plugin_that_others_could_change_is_not_run(tmp_path: Path, spoiled: str) -> None:
    """What a kubeconfig names is run with our rights, as what our own config names."""
    plugin = write(tmp_path / "plugin", "#!/bin/sh\ntouch ran\n")
    plugin.chmod(0o700)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    path = write(tmp_path / "kubeconfig", config(user=user))
    (tmp_path / spoiled).chmod(0o707)
    with pytest.raises(BackendError, match=f"{spoiled}: others can write it") as caught:
        await identify(load_access(str(path), "", tmp_path))
    assert (caught.value.kind, caught.value.fix) == ("config", f"chmod go-w {tmp_path / spoiled}")
    assert not (tmp_path / "ran").exists()


def test_one_that_is_nested_without_end_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "deep", "x: " + "[" * 5000 + "]" * 5000)
    said = refused(str(path), "", tmp_path).message
    assert "nested too deeply" in said or "not YAML in line 1" in said, "with its C library, or without"
