"""Entries of `argo-rollouts` and `argo-cd` that can not be meant are refused as they are read, in one line; what the
bench has not is told from objects as the published schema has them."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.deployments.argo_cd.access import session_of
from backends.deployments.argo_cd.owner import FIELDS, self_heal_findings
from backends.deployments.argo_cd.state import Seen as AppSeen
from backends.deployments.argo_cd.windows import window_findings
from backends.deployments.argo_cd.wire import Application, Window, Windows
from backends.deployments.argo_rollouts.analysis import AnalysisRun
from backends.deployments.argo_rollouts.state import Seen
from backends.deployments.argo_rollouts.wire import ReplicaSet, Rollout
from backends.errors import BackendError
from backends.http import Http
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Metadata
from backends.models import Finding
from backends.registry import AdapterContext, build
from tests.backends.fake_kubernetes import FakeKubernetes

ROLLOUT = {"rollout": "web", "namespace": "shop"}
APP = {"application": "web", "url": "https://argocd.example", "token": {"env": "ARGOCD_TOKEN"}}
HASH = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("argo-rollouts", {"rollout": ""}, "rollout: it is empty"),
        ("argo-rollouts", {"preview": "preview.example"}, "preview: it begins with http"),
        ("argo-rollouts", {"stages": {"canary": [5, 100]}}, "Argo Rollouts moves the traffic itself"),
        ("argo-rollouts", {"smoke": ["./smoke.sh"]}, "leave out smoke"),
        ("argo-cd", {"application": ""}, "application: it is empty"),
        ("argo-cd", {"url": "argocd.example"}, "url: it begins with http"),
        ("argo-cd", {"kubeconfig": "k"}, "one way to reach it"),
        ("argo-cd", {"argocd_context": "prod"}, "url: with either token or argocd_context"),
        ("argo-cd", {"url": ""}, "token: it is for `url`"),
        ("argo-cd", {"deploy": ["./deploy.sh"]}, "Argo CD moves the traffic itself"),
    ],
)
def test_an_entry_that_can_not_be_meant_is_refused(
    tmp_path: Path, http: Http, kind: str, change: dict[str, Any], words: str
) -> None:
    entry = {**(ROLLOUT if kind == "argo-rollouts" else APP), **change}
    with pytest.raises(BackendError, match=words) as caught:
        build("deployments", kind, entry, AdapterContext("web", tmp_path, tmp_path, http))
    assert caught.value.kind == "config"
    assert "\n" not in caught.value.message


# ---- Rollouts


def a_rollout(status: dict[str, Any] | None = None, **spec: Any) -> Rollout:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:2.5.0"}]},
    }
    steps = [{"setWeight": 20}, {"pause": {}}]
    told = {"phase": "Healthy", "observedGeneration": "3", "currentPodHash": "bb", "stableRS": "aa"}
    return msgspec.convert(
        {
            "metadata": {"name": "web", "uid": "u-1", "generation": 3, "annotations": {REVISION: "2"}},
            "spec": {"template": template, "strategy": {"canary": {"steps": steps}}, **spec},
            "status": {**told, **(status or {})},
        },
        Rollout,
    )  # fmt: skip


def a_set(name: str, number: int, tag: str, replicas: int = 1) -> ReplicaSet:
    template = {"metadata": {"labels": {HASH: name}}, "spec": {"containers": [{"name": "main", "image": f"web:{tag}"}]}}
    meta = {
        "name": f"web-{name}", "labels": {HASH: name}, "annotations": {REVISION: str(number)},
        "creationTimestamp": f"2026-11-29T10:0{number}:00Z",
    }  # fmt: skip
    ready = {"readyReplicas": replicas, "availableReplicas": replicas}
    return msgspec.convert(
        {"metadata": meta, "spec": {"replicas": replicas, "template": template}, "status": ready}, ReplicaSet
    )


SETS = [a_set("aa", 1, "2.4.0", 4), a_set("bb", 2, "2.5.0")]


def test_a_workload_ref_refuses_release_and_rollback_with_the_command_for_it() -> None:
    seen = Seen(a_rollout({"currentPodHash": "aa"}, workloadRef={"kind": "Deployment", "name": "web"}), SETS, "")
    orders = {offer.order: offer for offer in seen.state.view.orders}
    assert "`kubectl set image deployment/web CONTAINER=IMAGE` releases" in orders["release"].why
    assert "`kubectl rollout undo deployment/web`" in orders["rollback"].why


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"observedGeneration": "2"}, "the controller has not seen generation 3 (seen: 2)"),
        ({"phase": "Paused", "controllerPause": True}, "no effect seen of a promote"),
        ({"abort": True}, "no effect seen of an abort"),
        ({"abortedAt": "2026-11-29T10:00:00Z", "phase": "Degraded"}, "no effect seen of a retry"),
    ],
)
def test_what_was_written_and_shows_no_effect_is_unknown_after_a_while(status: dict[str, Any], words: str) -> None:
    seen = Seen(a_rollout(status), SETS, "")
    assert words in seen.state.unanswered
    assert seen.state.view.phase == "unknown"
    assert words in seen.state.view.message


def test_an_inconclusive_analysis_is_gone_over_only_by_its_own_word() -> None:
    pause = [{"reason": "InconclusiveAnalysisRun", "startTime": "2026-11-29T10:00:00Z"}]
    view = Seen(a_rollout({"phase": "Paused", "pauseConditions": pause, "currentStepIndex": 1}), SETS, "").state.view
    offer = view.offer("promote")
    assert (offer.allowed, "skip-step" in offer.forms) == (False, True)
    assert "`promote --skip-step` goes on in spite of it" in offer.why


def test_a_rollback_window_runs_no_steps_again() -> None:
    done = {"currentPodHash": "bb", "stableRS": "bb"}
    assert Seen(a_rollout(done), SETS, "").state.at_once == ""
    within = Seen(a_rollout(done, rollbackWindow={"revisions": 2}), SETS, "").state
    assert within.at_once == "within rollbackWindow (2 revisions): no steps run again"
    assert within.before is not None
    assert within.before.version == "2.4.0"


def test_a_rollback_by_name_is_never_forward() -> None:
    undone = [a_set("aa", 3, "2.4.0"), a_set("bb", 2, "2.5.0")]
    for name, each in (("aa", undone[0]), ("bb", undone[1])):
        each.metadata.creation_timestamp = datetime(2026, 11, 29, 10, {"aa": 1, "bb": 2}[name], tzinfo=UTC)
    back = Seen(a_rollout({"currentPodHash": "aa", "stableRS": "aa"}), undone, "").state
    assert (back.returned, list(back.past)) == (True, ["3"])
    done = Seen(a_rollout({"currentPodHash": "bb", "stableRS": "bb"}), SETS, "").state
    assert {name: each.version for name, each in done.past.items()} == {"1": "2.4.0", "2": "2.5.0"}
    assert done.view.offer("rollback").forms == ("to",)


def test_an_analysis_run_says_each_metric_with_value_limit_and_why() -> None:
    run = msgspec.convert(
        {
            "metadata": {"name": "web-bb-2-1"},
            "spec": {"metrics": [
                {"name": "errors", "successCondition": "result[0] < 0.05"},
                {"name": "p95", "failureCondition": "result > 1"},
            ]},
            "status": {"phase": "Inconclusive", "metricResults": [
                {"name": "errors", "phase": "Failed", "measurements": [{"value": "[0.07]", "phase": "Failed"}]},
                {"name": "p95", "phase": "Error", "message": "no such host"},
            ]},
        },
        AnalysisRun,
    )  # fmt: skip
    assert run.words == (
        "analysis web-bb-2-1 Inconclusive: errors [0.07] (wanted result[0] < 0.05) Failed; "
        "p95 no value yet (not result > 1) Error: no such host"
    )


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[FakeKubernetes, KubernetesApi]]:
    async with FakeKubernetes() as server:
        found = KubernetesApi(
            kubeconfig=str(server.kubeconfig(tmp_path)), context="", namespace="shop", base_dir=tmp_path
        )
        yield server, found
        await found.aclose()


@pytest.mark.parametrize(
    ("kind", "entry", "words"),
    [
        ("argo-rollouts", ROLLOUT, "the CRD of Argo Rollouts is not installed"),
        ("argo-cd", {"application": "web"}, "Argo CD is not installed there"),
    ],
)
@pytest.mark.parametrize("others", [[], [{"name": "analysisruns", "kind": "AnalysisRun"}]])
async def test_a_cluster_without_the_kind_says_so(
    api: tuple[FakeKubernetes, KubernetesApi], tmp_path: Path, http: Http, kind: str, entry: dict[str, Any],
    words: str, others: list[Any],
) -> None:  # fmt: skip
    server, _ = api
    if others:  # of its group: the API server answers with a page that says nothing
        server.objects["/apis/argoproj.io/v1alpha1"] = (200, {"resources": others})
    told = {**entry, "kubeconfig": str(server.kubeconfig(tmp_path))}
    adapter = build("deployments", kind, told, AdapterContext("web", tmp_path, tmp_path, http))
    missing = (404, {} if others else {"kind": "Status", "message": "the server could not find the requested resource"})
    for namespace, plural in (("shop", "rollouts"), ("argocd", "applications")):
        server.objects[f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/{plural}/web"] = missing
    try:
        with pytest.raises(BackendError, match=words) as caught:
            await adapter.observe()
        assert caught.value.kind == "config"
    finally:
        await adapter.aclose()


# ---- Argo CD


def test_a_window_that_denies_is_told_with_its_end() -> None:
    now = datetime(2026, 11, 29, 13, 20, tzinfo=UTC)
    window = Window(kind="deny", schedule="0 12 * * 0", duration="2h")
    (found,) = window_findings(Windows(active_windows=[window], can_sync=False), now)
    assert (found.level, found.code) == ("block", "sync-window")
    assert "14:00 UTC" in found.text
    assert window_findings(Windows(active_windows=[window], can_sync=True), now) == []
    odd = Window(kind="deny", schedule="@daily", duration="2h")
    assert "until" not in window_findings(Windows(active_windows=[odd], can_sync=False), now)[0].text


def test_an_application_of_a_set_offers_no_pause_and_says_the_worst_resource() -> None:
    past = [{"id": n, "revision": letter * 40, "deployedAt": "2026-11-29T10:00:00Z"} for n, letter in enumerate("ab")]
    app = msgspec.convert(
        {
            "metadata": {"name": "web", "ownerReferences": [{"kind": "ApplicationSet", "name": "all"}]},
            "spec": {"source": {"targetRevision": "main"}, "syncPolicy": {"automated": {}}},
            "status": {
                "history": past, "health": {"status": "Degraded"}, "sync": {"status": "Synced", "revision": "b" * 40},
                "resources": [
                    {"kind": "Deployment", "name": "api", "health": {"status": "Progressing", "message": "1 of 2"}},
                    {"kind": "Deployment", "name": "job", "health": {"status": "Degraded", "message": "deadline"}},
                    {"kind": "Service", "name": "web"},
                ],
            },
        },
        Application,
    )  # fmt: skip
    view = AppSeen(app).state.view
    assert view.message == "Synced with main (bbbbbbb), Degraded, Deployment job Degraded: deadline, and 1 more"
    assert view.offer("pause").why == "ApplicationSet all would put auto-sync back"
    assert "`git revert bbbbbbb && git push` is the way" in view.offer("rollback").why


@pytest.mark.parametrize(
    ("policy", "ignored", "level", "words"),
    [
        ({"automated": {"selfHeal": True}}, [], "warning", "the selector IS PUT BACK within seconds"),
        ({"automated": {}}, [], "warning", "stays until the next commit, which puts it back"),
        ({"automated": {"enabled": False, "selfHeal": True}}, [], "warning", "stays until somebody syncs it"),
        (None, [], "warning", "without auto-sync"),
        ({"automated": {"selfHeal": True}}, ["/spec/selector"], "warning", "until the next sync, which writes it anew"),
        (
            {"automated": {"selfHeal": True}, "syncOptions": ["RespectIgnoreDifferences=true"]}, ["/spec"], "ok",
            "leaves the selector alone",
        ),
    ],
)  # fmt: skip
async def test_what_self_heal_does_to_a_switch_and_when(
    api: tuple[FakeKubernetes, KubernetesApi], policy: Any, ignored: list[str], level: str, words: str
) -> None:
    server, cluster = api
    differences = [{"kind": "Service", "jsonPointers": ignored}] if ignored else []
    spec = {"syncPolicy": policy, "ignoreDifferences": differences}
    server.objects["/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/shop"] = (
        200, {"metadata": {"name": "shop"}, "spec": spec},
    )  # fmt: skip
    tracked = Metadata(name="web", annotations={"argocd.argoproj.io/tracking-id": "shop:/Service:shop/web"})
    (found,) = await self_heal_findings(cluster, "Service", tracked)
    assert (found.level, words in found.text) == (level, True), found
    assert await self_heal_findings(cluster, "Service", Metadata(name="web")) == []


def test_the_session_of_argocd_login_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOCD_CONFIG_DIR", str(tmp_path))
    written = {
        "contexts": [{"name": "prod", "server": "argocd.example:443", "user": "sso"}],
        "servers": [{"server": "argocd.example:443", "grpc-web-root-path": ""}],
        "users": [{"name": "sso", "auth-token": "t0ken"}], "current-context": "prod",
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(written))
    found = session_of("prod", "")
    assert (found.base, found.headers) == ("https://argocd.example:443", {"authorization": "Bearer t0ken"})
    with pytest.raises(BackendError, match='no context "staging"'):
        session_of("staging", "")


@pytest.mark.parametrize(
    ("kind", "ignored", "stays"),
    [
        ("HTTPRoute", {"jqPathExpressions": [".spec.rules[].backendRefs[].weight"]}, True),
        ("HTTPRoute", {"jsonPointers": ["/spec/rules/0/backendRefs/0/weight"]}, True),
        ("VirtualService", {"jqPathExpressions": [".spec.http[].route[].weight"]}, True),
        ("VirtualService", {"jsonPointers": ["/spec/hosts"]}, False),
        ("Deployment", {"jsonPointers": ["/spec/replicas"]}, False),
        ("Deployment", {"jsonPointers": ["/spec/template/spec/containers/0/image"]}, True),
        ("Deployment", {"managedFieldsManagers": ["tealdeck"]}, True),
        ("Deployment", {"jsonPointers": ["/spec/template"], "name": "other"}, False),
    ],
)
async def test_only_what_covers_the_field_lets_it_stay(
    api: tuple[FakeKubernetes, KubernetesApi], kind: str, ignored: dict[str, Any], stays: bool
) -> None:
    server, cluster = api
    spec = {"syncPolicy": {"automated": {"selfHeal": True}}, "ignoreDifferences": [{"kind": kind, **ignored}]}
    server.objects["/apis/argoproj.io/v1alpha1/namespaces/apps/applications/shop"] = (
        200, {"metadata": {"name": "shop"}, "spec": spec},
    )  # fmt: skip
    tracked = Metadata(name="web", annotations={"argocd.argoproj.io/tracking-id": "apps_shop:x/y:shop/web"})
    (found,) = await self_heal_findings(cluster, kind, tracked)
    assert ("IS PUT BACK within seconds" not in found.text) == stays, found


@pytest.mark.parametrize("kind", FIELDS)
async def test_the_ignored_difference_that_is_advised_lets_the_field_stay(
    api: tuple[FakeKubernetes, KubernetesApi], kind: str
) -> None:
    server, cluster = api
    path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/shop"
    tracked = Metadata(name="web", annotations={"argocd.argoproj.io/tracking-id": "shop:x/y:shop/web"})

    async def told(*ignored: str) -> Finding:
        differences = [{"kind": kind, "jqPathExpressions": list(ignored)}]
        options = ["RespectIgnoreDifferences=true"]
        policy = {"automated": {"selfHeal": True}, "syncOptions": options}
        spec = {"syncPolicy": policy, "ignoreDifferences": differences}
        server.objects[path] = (200, {"metadata": {"name": "shop"}, "spec": spec})
        (found,) = await self_heal_findings(cluster, kind, tracked)
        return found

    advised = (await told()).fix.partition("jqPathExpressions ")[2].split()[0]
    assert (await told(advised)).level == "ok"
