"""Who else writes what moves the traffic of an object, and would take the switch back."""

from collections.abc import Collection

from msgspec import Struct

from backends.deployments.kubernetes.control import FENCE, OP
from backends.kubernetes.api import FIELD_MANAGER
from backends.kubernetes.wire import Metadata
from backends.models import Finding
from backends.text import clean

_OWNERS = {
    "argocd": "Argo CD", "helm": "Helm", "kustomize-controller": "Flux", "helm-controller": "Flux",
    "rollouts-controller": "Argo Rollouts", "flagger": "Flagger",
}  # fmt: skip
_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "meta.helm.sh/release-name": "Helm",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
MOVERS = {
    "Argo Rollouts": "drive the Rollout: promote or abort it",
    "Flagger": "drive the Canary: pause it (spec.suspend), or let it go on",
}
"""Controllers that move traffic themselves, and what is done instead."""
ROLLOUTS_MARK = "argo-rollouts.argoproj.io/managed-by-rollouts"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # what client-side `kubectl apply` keeps


class Field(Struct, frozen=True, kw_only=True):
    """What of an object moves the traffic.

    what: `Service analytics`. called: `the color in the selector`, of `whole`, `the selector`. path: as managed fields
    have it. pointer: as Argo CD ignores it. name: as kubectl takes it, `service analytics`.
    """

    what: str
    called: str
    whole: str
    path: tuple[str, ...]
    pointer: str
    name: str

    def let_be(self, owner: str) -> str:
        """How `owner` is told to leave it alone."""
        return {
            "Argo CD": f"ignoreDifferences on {self.pointer} with RespectIgnoreDifferences=true, or it switches back",
            "Helm": f"keep {self.whole} out of the chart, or the next upgrade switches back or fails with a conflict",
            "Flux": f"kustomize.toolkit.fluxcd.io/ssa: IfNotPresent on the {self.what.split()[0]}, or it switches back",
        }.get(owner, f"take {self.whole} out of what it applies, or it switches back")


def writers(metadata: Metadata, path: tuple[str, ...]) -> list[tuple[str, str]]:
    """(manager, operation) of all but us who own the field at `path`."""
    return [
        (clean(entry.manager, 64), entry.operation)
        for entry in metadata.managed_fields or ()
        if entry.owns(*path) and entry.manager != FIELD_MANAGER
    ]


def owners(metadata: Metadata, field: Field, applied: str = "") -> list[Finding]:
    """Who else writes `field`: their next reconciliation takes the switch back. `applied`: what the next client-side
    `kubectl apply` puts back, how it is kept from that on a line of its own."""
    found: list[Finding] = []
    writing = [
        manager for manager, operation in writers(metadata, field.path) if operation == "Apply" or _named(manager)
    ]
    named = sorted({_named(manager) or manager for manager in writing})
    if len(named) > 1:
        text = f"{' and '.join(named)} both own {field.called} of {field.what}"
        fix = "leave it to one of them, or to none"
        found.append(Finding(level="block", code="owners", text=text, fix=fix, overridable=True))
    for word in named:
        text = f"{word} owns {field.called} of {field.what}"
        if word in MOVERS:
            found.append(Finding(level="block", code="owner", text=text, fix=MOVERS[word], overridable=True))
        else:
            found.append(Finding(level="warning", code="owner", text=text, fix=field.let_be(word)))
    found += owners_by_mark(metadata, field.what, field.whole, but=named, field=field)
    if not found and applied:
        last, _, fix = applied.partition("\n")
        text = f"kubectl apply set {field.called} of {field.what} {last}"
        fix = f"{fix}, or the next `kubectl apply` switches back"
        found.append(Finding(level="warning", code="owner", text=text, fix=fix))
    fence = metadata.annotation(FENCE)
    if fence and not fence.isdecimal():
        text = f'the annotation {FENCE} says "{clean(fence, 64)}": not written by this program'
        found.append(Finding.block("breadcrumb", text, f"kubectl annotate {field.name} {FENCE}- {OP}-"))
    return found


def owners_by_mark(
    metadata: Metadata, what: str, whole: str, *, but: Collection[str] = (), field: Field | None = None
) -> list[Finding]:
    """The tools, `but` for those named already, that say by a label or an annotation that `what` is theirs, and may put
    `whole` back."""
    marks = {word for mark, word in _MARKS.items() if metadata.annotation(mark) or metadata.label(mark)}
    if metadata.label("app.kubernetes.io/managed-by") == "Helm":
        marks.add("Helm")
    field = field or Field(what=what, called=whole, whole=whole, path=(), pointer=whole, name=what)
    return [
        Finding(level="warning", code="owner", text=f"{word} manages {what}", fix=field.let_be(word))
        for word in sorted(marks - set(but))
    ]


def _named(manager: str) -> str:
    folded = manager.casefold()
    return next((word for part, word in _OWNERS.items() if part in folded), "")
