"""Services of the same name in several clusters: each entry of the config names its kube context, and each plan says in
which cluster it would act, by its context and its server."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.http import Http
from backends.registry import AdapterContext, build
from tests.backends.fake_kubernetes import SERVICE, TOKEN, FakeKubernetes
from tests.backends.kubernetes_conditions import hpa, serve
from tests.backends.test_kubernetes_owners import REVIEWS
from tests.live.teal import CommandLine, toml

GREEN = {"blue": 0, "green": 100}
DEPLOYMENTS = {"blue": "analytics-blue", "green": "analytics-green"}


APPS = "/apis/apps/v1/namespaces/analytics/deployments"


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": "analytics", "color": name.rpartition("-")[2]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "a/b:1.0"}]}}
    return {
        "metadata": {"name": name, "uid": name, "generation": 1},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1},
    }


class Clusters:
    """`east` and `west`, two contexts of one kubeconfig, with the same namespace, Service and user in each."""

    def __init__(self, east: FakeKubernetes, west: FakeKubernetes, home: Path) -> None:
        self.of = {"east": east, "west": west}
        self.kubeconfig = home / "kubeconfig"
        contexts = {"cluster": "", "user": "oncall", "namespace": "analytics"}
        config = {
            "current-context": "west",
            "clusters": [{"name": name, "cluster": {"server": each.url}} for name, each in self.of.items()],
            "users": [{"name": "oncall", "user": {"token": TOKEN}}],
            "contexts": [{"name": name, "context": {**contexts, "cluster": name}} for name in self.of],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        for each in self.of.values():
            each.objects |= REVIEWS | {f"{APPS}/{name}": (200, deployment(name)) for name in DEPLOYMENTS.values()}

    def entry(self, name: str) -> dict[str, Any]:
        return {"kubeconfig": str(self.kubeconfig), "kube_context": name, "namespace": "analytics",
                "service": "analytics", "deployments": DEPLOYMENTS}  # fmt: skip

    def color(self, name: str) -> str:
        found: str = self.of[name].service["spec"]["selector"]["color"]
        return found


@pytest.fixture
async def clusters(tmp_path: Path) -> AsyncIterator[Clusters]:
    async with FakeKubernetes() as east, FakeKubernetes() as west:
        assert isinstance(east, FakeKubernetes)
        assert isinstance(west, FakeKubernetes)
        yield Clusters(east, west, tmp_path)


def adapter_of(clusters: Clusters, name: str, home: Path, http: Http) -> Any:
    return build("deployments", "kubernetes", clusters.entry(name), AdapterContext(name, home, home, http))


def command_line(clusters: Clusters, home: Path) -> CommandLine:
    """Over both, in one context of the config."""
    east, west = ({"name": name, "type": "kubernetes", **clusters.entry(name)} for name in clusters.of)
    more = "\n".join(f"{key} = {toml(value)}" for key, value in west.items())
    return CommandLine(home, east, more=f"[[contexts.test.deployments]]\n{more}\n")


async def test_a_write_goes_to_the_cluster_of_its_entry_alone(clusters: Clusters, tmp_path: Path, http: Http) -> None:
    east, west = (adapter_of(clusters, name, tmp_path, http) for name in ("east", "west"))
    try:
        assert (await east.observe()).weights == (await west.observe()).weights
        await east.shift(await east.observe(), GREEN, stamp="A:shift")
        assert (clusters.color("east"), clusters.color("west")) == ("green", "blue")
        assert [each.target.partition("?")[0] for each in clusters.of["east"].patches] == [SERVICE]
        assert clusters.of["west"].patches == []
        # A way back of an action in one of them is not carried out in the other, after an edit of the entry.
        assert east.object_id != west.object_id
    finally:
        await east.aclose()
        await west.aclose()


async def test_one_console_has_both_and_each_plan_names_its_own(clusters: Clusters, tmp_path: Path) -> None:
    teal = command_line(clusters, tmp_path)
    serve(clusters.of["east"], "autoscaling", "v2", [hpa("blue")])
    _, output, said = await teal.run("deploy", "status", "-o", "json")
    items = {item["service"]: item for item in json.loads(output)["items"]}
    assert set(items) == {"east", "west"}, said
    scaled = {name: [each for each in item["conditions"] if each["kind"] == "autoscaler" and each["name"]]
              for name, item in items.items()}  # fmt: skip
    assert (len(scaled["east"]), len(scaled["west"])) == (1, 0)
    for name, other in (("east", "west"), ("west", "east")):
        code, output, said = await teal.run("deploy", "flip", name, "--to", "green", "--dry-run")
        plan = output + said
        assert f"at {name} ({clusters.of[name].url}), namespace analytics" in plan, (code, plan)
        assert f"Service analytics/analytics at {name}: " in plan
        assert clusters.of[other].url not in plan
        for order in (("retire", name), ("release", name, "--version", "2.0")):
            plan = "".join((await teal.run("deploy", *order, "--dry-run"))[1:])
            assert f"at {name} ({clusters.of[name].url})" in plan, plan
    assert (clusters.color("east"), clusters.color("west")) == ("blue", "blue")


async def test_one_cluster_that_is_away_takes_nothing_from_the_other(clusters: Clusters, tmp_path: Path) -> None:
    teal = command_line(clusters, tmp_path)
    await clusters.of["west"].stop()
    _, output, said = await teal.run("deploy", "status", "-o", "json", "--timeout", "5")
    document = json.loads(output)
    assert [item["service"] for item in document["items"]] == ["east"]
    assert "west" in said
