"""Who else writes the selector of a Service, and would take the switch back."""

from collections.abc import Collection

import msgspec

from backends.deployments.kubernetes.control import FENCE, OP, selector_writers
from backends.json_text import decode_text
from backends.kubernetes.wire import Metadata, Service
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
_LET_IT_BE = {
    "Argo CD": "ignoreDifferences on /spec/selector with RespectIgnoreDifferences=true, or it switches back",
    "Helm": "keep the selector out of the chart, or the next upgrade switches back or fails with a conflict",
    "Flux": "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent on the Service, or it switches back",
}
_ROLLOUTS_MARK = "argo-rollouts.argoproj.io/managed-by-rollouts"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # what client-side `kubectl apply` keeps


def ownership(service: Service, name: str, label: str) -> list[Finding]:
    """Who else writes the selector: their next reconciliation takes the switch back."""
    metadata = service.metadata
    if metadata.annotation(_ROLLOUTS_MARK) or "rollouts-pod-template-hash" in (service.spec.selector or {}):
        text = f"Service {name} belongs to an Argo Rollouts Rollout, which writes its selector"
        return [Finding.block("owner", text, "drive the Rollout: promote or abort it")]
    found: list[Finding] = []
    writers = selector_writers(service, label)
    owners = [manager for manager, operation in writers if operation == "Apply" or _owner_name(manager)]
    named = sorted({_owner_name(owner) or owner for owner in owners})
    if len(named) > 1:
        text = f"{' and '.join(named)} both own the color in the selector of Service {name}"
        found.append(
            Finding(
                level="block", code="owners", text=text, fix="leave it to one of them, or to none", overridable=True
            )
        )
    for word in named:
        text = f"{word} owns the color in the selector of Service {name}"
        fix = _LET_IT_BE.get(word, "take the selector out of what it applies, or it switches back")
        found.append(Finding(level="warning", code="owner", text=text, fix=fix))
    found += owners_by_mark(metadata, f"Service {name}", "the selector", but=named)
    if not found and (color := _applied_color(metadata, label)):
        text = f"kubectl apply set the color in the selector of Service {name} last to {color.upper()}"
        fix = f"take {label} out of what is applied, or the next `kubectl apply` switches back"
        found.append(Finding(level="warning", code="owner", text=text, fix=fix))
    fence = metadata.annotation(FENCE)
    if fence and not fence.isdecimal():
        text = f'the annotation {FENCE} says "{clean(fence, 64)}": not written by this program'
        found.append(Finding.block("breadcrumb", text, f"kubectl annotate service {name} {FENCE}- {OP}-"))
    return found


def owners_by_mark(metadata: Metadata, what: str, field: str, *, but: Collection[str] = ()) -> list[Finding]:
    """The tools, `but` for those named already, that say by a label or an annotation that `what` is theirs, and may put
    `field` back."""
    marks = {word for mark, word in _MARKS.items() if metadata.annotation(mark) or metadata.label(mark)}
    if metadata.label("app.kubernetes.io/managed-by") == "Helm":
        marks.add("Helm")
    return [
        Finding(
            level="warning",
            code="owner",
            text=f"{word} manages {what}",
            fix=_LET_IT_BE.get(word, "").replace("the selector", field) or f"keep {field} out of what it applies",
        )
        for word in sorted(marks - set(but))
    ]


def _applied_color(metadata: Metadata, label: str) -> str:
    """The color that is put back by the next client-side `kubectl apply` of the same file; empty for none."""
    try:
        applied = decode_text(metadata.annotation(_APPLIED) or b"{}", Service)
    except msgspec.DecodeError:
        return ""
    return clean((applied.spec.selector or {}).get(label, ""), 64)


def _owner_name(manager: str) -> str:
    folded = manager.casefold()
    return next((word for part, word in _OWNERS.items() if part in folded), "")
