"""The Roles that docs/kubernetes.md lists are of the rights that the switches ask for before they write."""

from typing import Any

import pytest

from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.deployments.kubernetes.deployer import DEPLOY_RIGHTS
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.live.test_kubernetes_rights import verbs_of

COLORS = {"blue": "a", "green": "b"}
ENTRIES: dict[str, dict[str, Any]] = {
    "kubernetes": {"service": "s"},
    "gateway-api": {"route": "r", "services": COLORS},
    "istio": {"virtual_service": "v", "host": "h", "subsets": COLORS},
}
BESIDES = {
    ("list", "", "events"), ("get", "", "endpoints"), ("get", "", "namespaces"),
    ("list", "autoscaling", "horizontalpodautoscalers"),
    ("list", "autoscaling.k8s.io", "verticalpodautoscalers"), ("list", "policy", "poddisruptionbudgets"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENTRIES)
async def test_the_role_has_what_is_asked_for_and_what_is_only_looked_at(kind: str, tmp_path: Any, http: Http) -> None:
    context = AdapterContext("s", tmp_path, tmp_path, http)
    adapter: ClusterSwitch[Any] = build("deployments", kind, ENTRIES[kind], context)
    told = {(verb, group, resource) for group, resource, verb in verbs_of(kind)}
    assert told == {*adapter.rights, *DEPLOY_RIGHTS, *BESIDES}
