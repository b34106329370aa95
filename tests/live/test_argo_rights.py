"""The rights that docs/kubernetes.md lists for `argo-rollouts` and `argo-cd` are enough for everything that they do,
and each of them is used."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.errors import BackendError
from backends.http import Http
from backends.kubernetes.api import KubernetesApi
from backends.missing import collected
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ended, reached, released
from tests.live.argo import ArgoLab, argo_lab
from tests.live.test_argo_cd import App

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("argo")]
PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"
OF_EVERYBODY = ("selfsubjectaccessreviews", "selfsubjectreviews", "namespaces", "nodes")
"""What everybody may ask of himself, and what is told only where it may be read."""
DISCOVERY = re.compile(r"/apis/[^/]+(/[^/]+)?")
VERBS = {"GET": "get", "PATCH": "patch", "POST": "create"}


def listed(kind: str) -> list[dict[str, Any]]:
    """The rules on the page."""
    found = re.search(rf"<!-- rights of {kind} -->\n```yaml\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert found, kind
    rules: list[dict[str, Any]] = yaml.safe_load(found[1])["rules"]
    return rules


def right(method: str, path: str) -> tuple[str, str, str]:
    """(verb, group, resource) of a request."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    rest = rest[2:] if rest[0] == "namespaces" and len(rest) > 2 else rest
    verb = "list" if method == "GET" and len(rest) == 1 else VERBS[method]
    return verb, group, "/".join([rest[0], *rest[2:]])


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str, str]]:
    found = set[tuple[str, str, str]]()
    send = KubernetesApi.send

    async def noted(self: KubernetesApi, method: str, path: str, **more: Any) -> Any:
        if not DISCOVERY.fullmatch(path):
            found.add(right(method, path))
        return await send(self, method, path, **more)

    monkeypatch.setattr(KubernetesApi, "send", noted)
    return found


def grant(lab: ArgoLab, rules: list[dict[str, Any]]) -> Path:
    """The kubeconfig of a user who may do just that, in the namespace of the lab."""
    rbac = lab.path("roles", root="/apis/rbac.authorization.k8s.io/v1")
    lab.api.call("POST", rbac, {"metadata": {"name": "teal"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "teal"}
    subject = {"kind": "User", "name": "oncall", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "teal"}, "roleRef": reference, "subjects": [subject]}
    lab.api.call("POST", rbac.replace("/roles", "/rolebindings"), binding)
    return lab.kubeconfig.with_name(f"{lab.kubeconfig.name}.oncall")


def wanted(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(v, g, r) for rule in rules for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]}


async def test_those_of_a_rollout(http: Http, tmp_path: Path, used: set[tuple[str, str, str]]) -> None:
    rules = listed("argo-rollouts")
    with argo_lab() as lab:
        entry = await asyncio.to_thread(lab.rollout)
        entry["kubeconfig"] = str(await asyncio.to_thread(grant, lab, rules))
        context = AdapterContext("web", tmp_path, tmp_path / "own", http)
        adapter = build("deployments", "argo-rollouts", entry, context)
        try:
            await asyncio.sleep(0.3)  # the authorizer's cache of roles follows
            before = await adapter.observe()
            for order in (Order(order="release", version="2.5.0"), Order(order="promote")):
                assert "permissions" in {each.code for each in await adapter.preflight(before, order)}
            there = await released(adapter, "2.5.0")
            assert there.newest is not None
            await reached(adapter, there.newest.id, lambda found: found.pause)
            await adapter.deployment()
            told = await adapter.conditions()
            assert {each.kind for each in told if each.health == "unknown"} <= {"node"}, told
            with collected() as lost:
                await adapter.events(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
            assert not lost
            abort = Order(order="abort", operation=there.newest.id)
            await adapter.order(await adapter.observe(), abort, stamp="A:abort")
            over = await ended(adapter, there.newest.id)
            assert over.source is not None
            back = Order(order="rollback", revision=over.source.id)
            await adapter.order(await adapter.observe(), back, stamp="A:rollback")
        finally:
            await adapter.aclose()
    assert {each for each in used if each[2] not in OF_EVERYBODY} == wanted(rules)


@pytest.mark.parametrize("missing", ["rollouts", "rollouts/status"])
async def test_what_can_not_be_stopped_or_put_back_is_not_begun(http: Http, tmp_path: Path, missing: str) -> None:
    rules = [
        {**each, "verbs": [verb for verb in each["verbs"] if verb != "patch" or each["resources"] != [missing]]}
        for each in listed("argo-rollouts")
    ]
    with argo_lab() as lab:
        entry = await asyncio.to_thread(lab.rollout)
        entry["kubeconfig"] = str(await asyncio.to_thread(grant, lab, [each for each in rules if each["verbs"]]))
        adapter = build("deployments", "argo-rollouts", entry, AdapterContext("web", tmp_path, tmp_path / "own", http))
        try:
            await asyncio.sleep(0.3)
            state = await adapter.observe()
            with pytest.raises(BackendError, match=f"oncall at sim may not patch {missing} in namespace") as caught:
                await adapter.preflight(state, Order(order="release", version="2.5.0"))
            assert caught.value.kind == "auth"
        finally:
            await adapter.aclose()


async def test_those_of_an_application(http: Http, tmp_path: Path, used: set[tuple[str, str, str]]) -> None:
    rules = listed("argo-cd")
    with argo_lab() as lab:
        app = App(lab, "web")
        await asyncio.to_thread(app.create)
        entry = {"application": "web", "app_namespace": lab.namespace, "kube_context": "sim"}
        entry["kubeconfig"] = str(await asyncio.to_thread(grant, lab, rules))
        adapter = build("deployments", "argo-cd", entry, AdapterContext("web", tmp_path, tmp_path / "own", http))
        try:
            await asyncio.sleep(0.3)
            async with asyncio.timeout(10):
                while (await adapter.observe()).open:
                    await asyncio.sleep(0.1)
            there = await released(adapter, "2.5.0")
            assert there.newest is not None
            assert (await ended(adapter, there.newest.id)).state == "succeeded"
            state = await adapter.observe()
            assert state.before is not None
            await adapter.preflight(state, Order(order="rollback", revision=state.before.id))
            await adapter.order(state, Order(order="rollback", revision=state.before.id), stamp="A:rollback")
        finally:
            await adapter.aclose()
    assert {each for each in used if each[2] not in OF_EVERYBODY} == wanted(rules)
