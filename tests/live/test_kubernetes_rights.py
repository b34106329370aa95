"""The Roles of docs/kubernetes.md are enough, and none of their verbs is too much."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN
from tests.live.kubernetes import Cluster, Namespace, namespace
from tests.live.process import until
from tests.live.routes import KINDS, routed

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"
ROLE = re.compile(r"### Role of `([\w-]+)`\n\n```yaml\n(.*?)```", re.DOTALL)
Rules = list[dict[str, Any]]
Switch = ClusterSwitch[Any]


def rules_of(kind: str) -> Rules:
    """Those of the page."""
    text = dict(ROLE.findall(PAGE.read_text()))[kind]
    found: Rules = yaml.safe_load(text)["rules"]
    return found


def without(rules: Rules, group: str, resource: str, verb: str) -> Rules:
    """All others, a resource and a verb a rule."""
    every = [(g, r, v) for one in rules for g in one["apiGroups"] for r in one["resources"] for v in one["verbs"]]
    return [
        {"apiGroups": [g], "resources": [r], "verbs": [v]} for g, r, v in every if (g, r, v) != (group, resource, verb)
    ]


def verbs_of(kind: str) -> list[tuple[str, str, str]]:
    return [
        (g, r, v) for one in rules_of(kind) for g in one["apiGroups"] for r in one["resources"] for v in one["verbs"]
    ]


@pytest.fixture(scope="module", params=["kubernetes", *KINDS])
def place(kube: Cluster, request: pytest.FixtureRequest) -> Iterator[tuple[str, Namespace]]:
    if request.param == "kubernetes":
        with namespace(kube, replicas=1) as space:
            yield request.param, space
    else:
        with routed(kube, request.param) as routes:
            yield request.param, routes


def allow(space: Namespace, rules: Rules, *, but: tuple[str, str, str] | None = None) -> None:
    """This and no more for `oncall`, from now on: until the authorizer says so of what was taken away, or given."""
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/roles/least"
    try:
        space.api.merge(role, {"rules": rules})
    except OSError:
        space.grant("oncall", rules, name="least")
    group, resource, verb = but or (rules[0]["apiGroups"][0], rules[0]["resources"][0], rules[0]["verbs"][0])
    asked = {"namespace": space.name, "group": group, "resource": resource, "verb": verb}
    review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
              "spec": {"user": "oncall", "resourceAttributes": asked}}  # fmt: skip

    def is_so() -> bool:
        found = space.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(found["status"]["allowed"]) is (but is None)

    until(is_so, "the authorizer has seen the Role", within=30)


async def short_of(adapter: Switch) -> list[str]:
    """What does not work, in words; all of it is tried: a look, a plan, a write there and back, a deploy."""
    said = []
    try:
        before = await adapter.observe()
        layer = (await adapter.deployment()).truth.endpoints
        said += [layer.detail] if layer.value == "unknown" else []
        said += [one.text for one in await adapter.preflight(before, GREEN) if one.code == "autoscaler"]
        said += [one.text for one in await adapter.conditions() if one.health == "unknown" and one.kind != "node"]
        with collected() as lost:
            await adapter.events(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
        said += [one.message for one in lost]
        there = await adapter.shift(before, GREEN, stamp="A:shift")
        back = await adapter.shift(there, BLUE, stamp="A:back")
        assert back.weights == BLUE
        deployer = adapter.deployer
        assert deployer is not None
        await deployer.deploy_preflight("green", "2.4.0")
        await deployer.deploy(await deployer.deployed("green"), "green", "2.4.0", replicas=None, stamp="A:deploy")
    except BackendError as error:
        said.append(f"{error.kind}: {error.message}")
    return said


async def test_the_role_of_the_page_is_enough_and_each_verb_of_it_is_needed(
    place: tuple[str, Namespace], http: Http, tmp_path: Path
) -> None:
    kind, space = place
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    adapter: Switch = build("deployments", kind, space.config(kubeconfig=str(space.cluster.as_user("oncall"))), context)
    try:
        allow(space, rules_of(kind))
        assert await short_of(adapter) == []
        for group, resource, verb in verbs_of(kind):
            if resource in ("namespaces", "verticalpodautoscalers"):
                continue  # told as what nobody says: see below; not installed on the bench
            allow(space, without(rules_of(kind), group, resource, verb), but=(group, resource, verb))
            said = await short_of(adapter)
            assert said, f"{verb} {resource} is not needed"
            assert resource in said[0] or resource == "endpoints", said
    finally:
        await adapter.aclose()


async def test_a_namespace_that_nobody_may_read_is_no_reason_to_stop(
    place: tuple[str, Namespace], http: Http, tmp_path: Path
) -> None:
    kind, space = place
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    adapter: Switch = build("deployments", kind, space.config(kubeconfig=str(space.cluster.as_user("oncall"))), context)
    try:
        allow(space, without(rules_of(kind), "", "namespaces", "get"), but=("", "namespaces", "get"))
        assert await short_of(adapter) == []
    finally:
        await adapter.aclose()
