"""What Argo CD will do to an object that one of its Applications tracks, once somebody else has changed it.

Source: https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/ and …/diffing/
"""

from urllib.parse import quote

from backends.deployments.argo_cd.wire import Application, Ignored
from backends.errors import BackendError
from backends.kubernetes.api import FIELD_MANAGER, KubernetesApi
from backends.kubernetes.wire import Metadata
from backends.models import Finding
from backends.redaction import quoted

HOME = "argocd"
TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE = "argocd.argoproj.io/instance"
CODE = "self-heal"
FIELDS = {
    "Service": ("the selector", ".spec.selector"),
    "HTTPRoute": ("the weight", ".spec.rules[].backendRefs[].weight"),
    "VirtualService": ("the weight", ".spec.http[].route[].weight"),
    "Deployment": ("the image", ".spec.template.spec.containers[].image"),
    "Rollout": ("the image", ".spec.template.spec.containers[].image"),
}
"""What is written of each kind from here, in words and as `jqPathExpressions` of `ignoreDifferences` have it: a JSON
pointer can not say "each of a list"."""
_RESPECT = "RespectIgnoreDifferences=true"


def tracked_by(metadata: Metadata) -> tuple[str, str] | None:
    """(namespace, name) of the Application that tracks it; None where none says so."""
    named = metadata.annotation(TRACKING).partition(":")[0] or metadata.label(INSTANCE)
    if not named:
        return None
    namespace, other, name = named.partition("_")  # of Applications in any namespace
    return (namespace, name) if other else (HOME, named)


async def self_heal_findings(api: KubernetesApi, kind: str, metadata: Metadata) -> list[Finding]:
    """What the Application that tracks this object of that kind will do to what is written of it (`FIELDS`), and when;
    nothing where none tracks it. Never raises."""
    found = tracked_by(metadata)
    if found is None or kind not in FIELDS:
        return []
    field, path = FIELDS[kind]
    namespace, name = found
    what, app = f"{kind} {quoted(metadata.name, 128)}", f"Application {quoted(name, 128)}"
    address = f"/apis/argoproj.io/v1alpha1/namespaces/{quote(namespace, safe='')}/applications/{quote(name, safe='')}"
    try:
        application = await api.get(address, Application)
    except BackendError as error:
        text = f"{app} of Argo CD tracks {what}: what it does to {field}, and when, is not known: {error.message}"
        fix = f"grant get applications in namespace {quoted(namespace, 64)}"
        return [Finding(level="warning", code=CODE, text=text, fix=fix)]
    return [_finding(application, kind, metadata.name, f"{app} tracks {what}", field, path)]


def _finding(app: Application, kind: str, name: str, words: str, field: str, path: str) -> Finding:
    policy, automated = app.spec.sync_policy, app.spec.automated
    ignored = any(_covers(each, kind, name, _pointer(path)) for each in app.spec.ignore_differences or ())
    respects = _RESPECT in ((policy.sync_options if policy else None) or ())
    if ignored and respects:
        return Finding(level="ok", code=CODE, text=f"{words}, and leaves {field} alone (ignoreDifferences)")
    if ignored:
        text = f"{words}: {field} stays (ignoreDifferences) until the next sync, which writes it anew"
        return Finding(level="warning", code=CODE, text=text, fix=f"syncOptions: {_RESPECT}")
    fix = f"change it in git too, or ignoreDifferences on jqPathExpressions {path} with {_RESPECT}"
    if automated is None:
        text = f"{words}, without auto-sync: {field} stays until somebody syncs it"
    elif automated.self_heal:
        text = f"{words}, with self-heal: {field} IS PUT BACK within seconds"
    else:
        text = f"{words}, without self-heal: {field} stays until the next commit, which puts it back"
    return Finding(level="warning", code=CODE, text=text, fix=fix)


def _covers(ignored: Ignored, kind: str, name: str, pointer: str) -> bool:
    if ignored.kind not in (kind, "*") or ignored.name not in ("", name):
        return False
    if FIELD_MANAGER in (ignored.managed_fields_managers or ()):
        return True
    pointers = [each.rstrip("/") for each in ignored.json_pointers or ()]
    pointers += map(_pointer, ignored.jq_path_expressions or ())
    plain = ("/".join(part for part in each.split("/") if not part.isdigit()) for each in pointers)
    return any(of and f"{pointer}/".startswith(f"{of}/") for of in plain)


def _pointer(path: str) -> str:
    """A path of jq as a JSON pointer without the numbers of a list."""
    return "/" + path.lstrip(".").replace("[]", "").replace(".", "/")
