"""Releases as Helm keeps them: read, bounded, refused in words; and what the plan of a way back says of two of them."""

import base64
import gzip
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.deployments.helm import wire
from backends.deployments.helm.binary import HelmVersion
from backends.deployments.helm.findings import rollback_findings
from backends.deployments.helm.store import Revised
from backends.deployments.helm.wire import Release, StoredMetadata, decoded
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ended
from tests.backends.helm_fixtures import Make, make_helm
from tests.backends.stand_in_helm import manifest_of, object_of, packed, release_of

__all__ = ["make_helm"]
PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"
THREE, FOUR = HelmVersion(3, "v3.17.2"), HelmVersion(4, "v4.3.1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"release": ""}, "neither may be empty"),
        ({"driver": "sql"}, "driver: sql: a database keeps its releases, which is not read from here; `helm history"),
        ({"driver": "memory"}, "driver: memory: its releases are kept nowhere"),
        ({"driver": "etcd"}, "driver: secret or configmap"),
        ({"timeout": "0s"}, "timeout: more than 0s"),
        ({"deploy": ["./upgrade"]}, r"deploy: \{version\} is nowhere in it"),
        ({"deploy": ["helm", "upgrade", "{version}", "--force"]}, "deploy: --force replaces objects"),
        ({"stages": {"canary": [5, 100]}}, "Helm moves the traffic itself"),
        ({"smoke": ["./smoke.sh"]}, "leave out smoke"),
    ],
)
def test_an_entry_that_can_not_be_meant_is_refused(
    tmp_path: Path, http: Http, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        build("deployments", "helm", {"release": "model", **change}, AdapterContext("m", tmp_path, tmp_path, http))
    assert caught.value.kind == "config"
    assert "\n" not in caught.value.message


# ---- what is read


@pytest.mark.parametrize("kind", ["secrets", "configmaps"])
async def test_a_release_is_read_from_secrets_and_from_configmaps(make_helm: Make, kind: str) -> None:
    driver = "secret" if kind == "secrets" else "configmap"
    lab = await make_helm(release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"), kind=kind, driver=driver)
    state = await lab.adapter.observe()
    assert state.view.stable is not None
    assert (state.view.phase, state.view.stable.version, state.view.stable.id) == ("healthy", "2.5.0", "2")
    assert "revision 2 deployed, model 0.1.0, Upgrade complete, app 2.4.0" in state.view.message
    after = await lab.adapter.order(state, Order(order="rollback", revision="1"), stamp="A:rollback")
    assert after.newest is not None
    assert (await ended(lab.adapter, after.newest.id)).state == "succeeded"  # the program was told the driver


async def test_only_what_has_changed_is_read_again(make_helm: Make) -> None:
    lab = await make_helm(release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"))
    await lab.adapter.observe()
    lab.server.requests.clear()
    await lab.adapter.observe()
    asked = [request.target.partition("?")[0].rpartition("/")[2] for request in lab.server.requests]
    assert sorted(asked) == ["secrets", "tealdeck.helm.model"]


async def test_no_such_release_says_where_it_was_looked_for(make_helm: Make) -> None:
    lab = await make_helm(release="other")
    with pytest.raises(BackendError, match='no release "other" in the secrets of namespace models') as caught:
        await lab.adapter.observe()
    assert "where HELM_DRIVER is configmap" in caught.value.fix


def bomb() -> str:
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    whole = b"".join([stream.compress(b" " * 2**20) for _ in range(wire.MAX_RELEASE_BYTES // 2**20 + 2)])
    return base64.b64encode(whole + stream.flush()).decode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("!!!", "not base64"),
        (base64.b64encode(gzip.compress(b"{")).decode(), "no release as Helm writes it"),
        (base64.b64encode(gzip.compress(b"[]")).decode(), "Expected `object`"),
        (base64.b64encode(gzip.compress(b"{}" * 99)[:20]).decode(), "it ends too early"),
        (bomb(), "more than 32 MB"),
    ],
    ids=["no base64", "half an object", "a list", "cut", "bomb"],  # gzip writes the time, and workers must agree
)
def test_what_is_no_release_is_told_in_one_line(data: str, words: str) -> None:
    with pytest.raises(BackendError, match=re.escape(words)) as caught:
        decoded(data, "sh.helm.release.v1.x.v1", secret=False)
    assert caught.value.kind == "malformed"


async def test_a_damaged_old_revision_takes_nothing_from_the_newest(make_helm: Make) -> None:
    lab = await make_helm(release_of(2, "2.4.0", "superseded"), release_of(3, "2.5.0"))
    damaged = object_of(release_of(1, "2.3.0", "superseded"))
    lab.server.keep({**damaged, "data": {"release": "AAAA"}})
    state = await lab.adapter.observe()
    assert state.before is not None
    assert state.before.version == "2.4.0"
    lab.server.keep({**object_of(release_of(4, "2.6.0")), "data": {"release": "AAAA"}})
    with pytest.raises(BackendError, match=r"sh\.helm\.release\.v1\.model\.v4: no release"):
        await lab.adapter.observe()


def test_text_of_a_release_that_was_never_packed_is_read() -> None:
    found = decoded(base64.b64encode(b'{"name": "x", "version": 7}').decode(), "x", secret=False)
    assert (found.name, found.version) == ("x", 7)
    assert decoded(packed(release_of(3, "1.0")), "x", secret=False).deployed_at is not None


# ---- what the plan of a way back says

JOB = {"name": "migrate", "kind": "Job", "manifest": "", "events": ["pre-rollback", "pre-upgrade"], "weight": -5}
EXTRA = "---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}{more}}}\n"


def found_of(
    now: dict[str, Any], to: dict[str, Any], *, hooks: bool = True, version: HelmVersion = THREE
) -> dict[str, Finding]:
    def revised(told: dict[str, Any]) -> Revised:
        return Revised(told["version"], told["info"]["status"], StoredMetadata(), read(told))

    return {each.code: each for each in rollback_findings(revised(now), revised(to), hooks=hooks, version=version)}


def read(told: dict[str, Any]) -> Release:
    return decoded(packed(told), "x", secret=False)


def test_hooks_are_named_and_a_job_among_them_is_a_migration() -> None:
    to = release_of(1, "2.4.0", "superseded", hooks=[JOB])
    found = found_of(release_of(2, "2.5.0"), to)
    assert "it RUNS 1 hook of that revision: pre-rollback/pre-upgrade Job migrate" in found["migration"].text
    left = found_of(release_of(2, "2.5.0"), to, hooks=False)
    assert "hooks = false: left out" in left["hooks"].text
    assert "migration" not in left
    only = release_of(1, "2.4.0", "superseded", hooks=[{**JOB, "events": ["pre-install"]}])
    assert not {"hooks", "migration"} & found_of(release_of(2, "2.5.0"), only).keys()


def test_what_is_deleted_is_named_and_what_holds_data_forbids() -> None:
    was = release_of(1, "2.4.0", "superseded")
    more = EXTRA.format(kind="ConfigMap", name="extra", more="")
    found = found_of(release_of(2, "2.5.0", manifest=manifest_of("2.5.0") + more), was)["deletes"]
    assert (found.level, "DELETES 1 object that the revision has not: ConfigMap extra" in found.text) == (
        "warning",
        True,
    )
    data = EXTRA.format(kind="PersistentVolumeClaim", name="data", more="")
    found = found_of(release_of(2, "2.5.0", manifest=manifest_of("2.5.0") + data), was)["deletes"]
    assert (found.level, found.overridable) == ("block", True)
    assert "PersistentVolumeClaim data with all that is in it" in found.text
    kept = EXTRA.format(
        kind="PersistentVolumeClaim", name="data", more=", annotations: {helm.sh/resource-policy: keep}"
    )
    told = found_of(release_of(2, "2.5.0", manifest=manifest_of("2.5.0") + kept), was)
    assert "deletes" not in told
    assert "PersistentVolumeClaim data (resource-policy: keep)" in told["leaves"].text


def test_crds_stay_and_fields_that_nobody_may_change_forbid() -> None:
    chart = {"metadata": {"name": "model", "version": "0.2.0"}, "files": [{"name": "crds/models.yaml", "data": ""}]}
    other = manifest_of("2.4.0").replace("matchLabels: {app: model}", "matchLabels: {app: old}")
    found = found_of(release_of(2, "2.5.0", chart=chart), release_of(1, "2.4.0", "superseded", manifest=other))
    assert "the CRDs of crds/models.yaml, as they are" in found["leaves"].text
    assert (found["immutable"].level, found["immutable"].overridable) == ("block", True)
    assert "Deployment model: spec.selector: Helm fails there" in found["immutable"].text
    frozen = EXTRA.format(kind="ConfigMap", name="c", more="") + "immutable: true\ndata: {a: b}\n"
    now = release_of(2, "2.5.0", manifest=frozen)
    told = found_of(now, release_of(1, "2.4.0", manifest=frozen.replace("a: b", "a: c")))
    assert "ConfigMap c: data (immutable: true)" in told["immutable"].text


def test_an_older_program_than_applied_it_is_told() -> None:
    now, to = release_of(2, "2.5.0", apply_method="ssa"), release_of(1, "2.4.0", "superseded")
    assert "Helm 4 applied revision 2 (server-side)" in found_of(now, to)["apply-method"].text
    assert "apply-method" not in found_of(now, to, version=FOUR)


def test_flux_is_named_where_it_makes_the_release() -> None:
    labels = "labels: {helm.toolkit.fluxcd.io/name: web, helm.toolkit.fluxcd.io/namespace: flux}"
    marked = manifest_of("2.5.0").replace("metadata: {name: model}", f"metadata: {{name: model, {labels}}}")
    now, to = release_of(2, "2.5.0", manifest=marked), release_of(1, "2.4.0", "superseded")
    owner = found_of(now, to)["owner"]
    assert "HelmRelease web of Flux makes this release" in owner.text
    assert "`flux suspend helmrelease web -n flux` first" in owner.fix
    assert "owner" not in found_of(release_of(2, "2.5.0"), to)


async def test_the_history_says_status_chart_application_and_when(make_helm: Make) -> None:
    lab = await make_helm(
        release_of(1, "2.4.0", "superseded"), release_of(2, "2.4.9", "failed"), release_of(3, "2.5.0")
    )
    told = (await lab.preflight(Order(order="rollback", revision="1")))["history"].text.split("; ")
    assert [each.split(",")[0] for each in told] == ["3 deployed", "2 failed", "1 superseded"]
    assert told[1].startswith("2 failed, model 0.1.0, app 2.4.0, 2.4.9, Upgrade complete, ")
    assert told[1].endswith("10:00 UTC")


# ---- rights


def listed(of: str) -> set[tuple[str, str, str]]:
    found = re.search(rf"<!-- rights of {of} -->\n```yaml\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert found, of
    rules = yaml.safe_load(found[1])["rules"]
    return {(v, g, r) for rule in rules for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]}


async def test_the_rights_on_the_page_are_those_that_are_used_and_asked_for(make_helm: Make) -> None:
    lab = await make_helm(release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"))
    state = await lab.adapter.observe()
    back = Order(order="rollback", revision="1")
    asked = (await lab.preflight(back))["permissions"].text
    after = await lab.adapter.order(state, back, stamp="A:rollback")
    assert after.newest is not None
    await ended(lab.adapter, after.newest.id)
    await lab.adapter.deployment()
    await lab.adapter.aclose()
    verbs = {"POST": "create", "PATCH": "patch", "PUT": "update"}
    used, helm = set[tuple[str, str, str]](), set[tuple[str, str, str]]()
    for request in lab.server.requests:
        kind, _, name = request.target.partition("?")[0].partition("/namespaces/models/")[2].partition("/")
        if kind in ("secrets", "configmaps"):
            verb = verbs.get(request.method, "get" if name else "list")
            (used if request.headers.get("user-agent") == "tealdeck" else helm).add((verb, "", kind))
        elif kind:
            used.add(("get" if name else "list", request.target.split("/")[2], kind))
    assert used == listed("helm")
    assert helm <= listed("the helm program")
    for verb, _, kind in {each for each in listed("helm") | listed("the helm program") if not each[1]}:
        assert f"{verb} {kind}" in asked


async def test_a_right_that_is_missing_is_named_before_anything_is_done(make_helm: Make) -> None:
    lab = await make_helm(release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"))
    lab.server.denied.add(("create", "secrets"))
    with pytest.raises(BackendError, match="may not create secrets in namespace models") as caught:
        await lab.preflight(Order(order="rollback", revision="1"))
    assert caught.value.kind == "auth"
