"""What a cluster says of a shift before it is made: rights, a dry run, capacity, and who else writes the selector."""

from typing import Any

from msgspec import Struct

from backends.deployments.kubernetes.control import Control, Weights
from backends.deployments.kubernetes.sides import waiting_words
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.kubeconfig import Access
from backends.kubernetes.wire import Namespace, Pod
from backends.models import Finding
from backends.text import clean
from backends.together import together


class _ReviewStatus(Struct):
    allowed: bool = False
    reason: str = ""


class _AccessReview(Struct):
    status: _ReviewStatus


class _WhoStatus(Struct, rename="camel"):
    user_info: dict[str, Any] = {}


class _SelfReview(Struct):
    status: _WhoStatus


async def identity_findings(api: KubernetesApi) -> list[Finding]:
    """As whom, and where."""
    access = await api.access()
    who = access.user_name
    try:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        review = await api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body, _SelfReview)
        who = str(review.status.user_info.get("username", "")) or who
    except BackendError as error:
        if error.kind not in ("not_found", "auth", "malformed"):  # a cluster before 1.28 does not know it
            raise
    namespace = await api.namespace()
    who = clean(who, 128) or "nobody"
    text = f"as {who} at {access.cluster_words}, namespace {clean(namespace, 64)}"
    return [Finding(level="ok", code="identity", text=text), *_loose(access)]


def _loose(access: Access) -> list[Finding]:
    found = []
    if not access.pinned:
        text = f"no `kube_context` in the config: {access.where} is what `kubectl config use-context` chose last"
        found.append(Finding(level="warning", code="context", text=text, fix=f'kube_context = "{access.where}"'))
    if access.cluster.insecure_skip_tls_verify:
        text = f"the certificate of {access.where} is not checked (insecure-skip-tls-verify)"
        found.append(Finding(level="warning", code="tls", text=text, fix="certificate-authority in the kubeconfig"))
    return found


async def check_rights(api: KubernetesApi, wanted: tuple[tuple[str, str, str], ...]) -> Finding:
    """Asks for each (verb, group, resource). Raises BackendError(auth) that names those that are missing."""
    namespace = await api.namespace()

    async def allowed(verb: str, group: str, resource: str) -> bool:
        plural, _, sub = resource.partition("/")
        spec = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
        spec |= {"subresource": sub} if sub else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": spec},
        }
        review = await api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, _AccessReview)
        return review.status.allowed

    answers = await together(*(allowed(*one) for one in wanted))
    missing = [f"{verb} {resource}" for (verb, _, resource), yes in zip(wanted, answers, strict=True) if not yes]
    if missing:
        access = await api.access()
        who = clean(access.user_name, 64) or "nobody"
        raise BackendError(
            "auth",
            f"{who} at {access.where} may not {', '.join(missing)} in namespace {clean(namespace, 64)}",
            fix="grant it by a Role and a RoleBinding, or use another `kube_context`",
            status=403,
        )
    words = ", ".join(f"{verb} {resource}" for verb, _, resource in wanted)
    return Finding(level="ok", code="permissions", text=f"may {words}")


async def ending(api: KubernetesApi) -> list[Finding]:
    """Whether the namespace is being deleted, where we may look: all in it goes, one thing after the other."""
    name = await api.namespace()
    try:
        found = await api.get(f"/api/v1/namespaces/{name}", Namespace)
    except BackendError as error:
        if error.kind in ("auth", "not_found"):
            return []
        raise
    if found.metadata.deletion_timestamp is None and found.status.phase != "Terminating":
        return []
    text = f"namespace {clean(name, 64)} is being deleted (Terminating), and everything in it"
    fix = "see who deletes it, and where the service goes"
    return [Finding(level="block", code="namespace", text=text, fix=fix, overridable=True)]


async def rehearsal(control: Control[Any], weights: Weights) -> Finding:
    """The same patch as a dry run. Raises BackendError(auth) where it is not allowed."""
    try:
        await control.rehearse(weights)
    except BackendError as error:
        if error.kind == "conflict" and error.status is None:
            return Finding.block("dry-run", error.message, error.fix)
        if error.kind == "auth" or error.status is None or error.status >= 500:
            raise
        return Finding.block(
            "dry-run", f"the API server refuses the change: {error.message}", "see what its admission wants"
        )
    return Finding(level="ok", code="dry-run", text="the API server would take the change")


def capacity(
    ready: int, needed: int, live: str, to: str, *, behind: tuple[str, str], waiting: list[Pod]
) -> list[Finding]:
    """How many are ready for what gains the traffic, against those that have it now. `behind`: what carries either, in
    words; `waiting`: the pods of the first."""
    if ready == 0:
        why = waiting_words(waiting)
        text = f"no pod behind {behind[0]} is ready: {to.upper()} would answer nothing{f' ({why})' if why else ''}"
        return [Finding.block("capacity", text, f"scale {to.upper()} up, and wait until it is ready")]
    if ready < needed:
        text = f"{to.upper()} has {ready} ready, {live.upper()} carries the traffic with {needed}"
        fix = f"scale {to.upper()} to {needed} first"
        return [Finding(level="block", code="capacity", text=text, fix=fix, overridable=True)]
    return [Finding(level="ok", code="capacity", text=f"{ready} ready behind {behind[0]}, {needed} behind {behind[1]}")]
