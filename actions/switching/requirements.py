"""What a release or a flip may require of the rest of the platform before traffic moves: data good enough, no alert, no
run in flight, a backup that is young enough.

```toml
[contexts.production.deployments.requires]
quality = { transactions = 0.95 }       # dataset: its least score
alerts = "critical"                     # none of this severity or worse fires on the service (by `links.labels`)
idle = ["production_data_pipeline"]     # no run of these is in flight; "linked": of the pipelines of `links.rows`
backup = { warehouse-backup = "24h" }   # name of a check of type `backup`: greatest age
```
What nobody can look at is not met. Each can be overridden with a reason: `--override quality --reason "…"`.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from actions.described import RelatedSources
from actions.models import Finding
from actions.targets import Ask
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Alert, PipelineRun, QualityScore
from backends.ports import Alerts, Check, Pipelines, Quality
from backends.settings import Duration, decode_hook
from backends.together import together

Severity = Literal["", "critical", "warning"]
FIRING = frozenset({"firing", "acknowledged", "unknown"})
IN_FLIGHT = frozenset({"queued", "running", "waiting", "unknown"})
_SEVERE: dict[str, frozenset[str]] = {
    "critical": frozenset({"critical", "page", "emergency", "fatal"}),
    "warning": frozenset({"critical", "page", "emergency", "fatal", "error", "warning"}),
}


class Requires(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As the config has it; what nobody can look at is not met.

    quality: the least score of each dataset.
    alerts: none of this severity or worse fires on the service (by `links.labels`).
    idle: no run of these pipelines is in flight; `linked`: of those of `links.rows`.
    backup: the greatest age by the name of a check of type `backup`.
    """

    quality: dict[str, float] = field(default_factory=dict)
    alerts: Severity = ""
    idle: tuple[str, ...] | Literal["linked"] = ()
    backup: dict[str, Duration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for dataset, least in self.quality.items():
            if not 0 < least <= 1:
                raise ValueError(f"quality: {dataset} = {least:g} is no least score: 0 to 1")
        for name, age in self.backup.items():
            if age <= 0:
                raise ValueError(f"backup: {name}: more than 0s")


def requires_of(written: Mapping[str, Any]) -> Requires:
    """Raises BackendError(config) with the path."""
    try:
        return msgspec.convert(written, Requires, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        message, _, inside = str(error).partition(" - at `$")
        raise BackendError("config", f"requires{inside.rstrip('`')}: {message}") from None


async def requirement_findings(requires: Requires, around: RelatedSources, service: str, ask: Ask) -> list[Finding]:
    """One finding for each requirement: met (`ok`), or against it. Nothing is written."""
    idle = around.linked if requires.idle == "linked" else requires.idle
    looks: list[Awaitable[list[Finding]]] = []
    if requires.quality:
        looks.append(_looked("quality", _quality(requires.quality, around, ask)))
    if requires.alerts:
        looks.append(_looked("alerts", _alerts(requires.alerts, around, service, ask)))
    if idle:
        looks.append(_looked("runs", _idle(idle, around, ask)))
    looks += [_looked("backup", _backup(name, age, ask)) for name, age in requires.backup.items()]
    return [finding for found in await together(*looks) for finding in found]


async def _looked(code: str, look: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await look
    except BackendError as error:
        return [_against(code, f"required, and nobody can look: {error.message}", error.fix)]


async def _quality(least: Mapping[str, float], around: RelatedSources, ask: Ask) -> list[Finding]:
    sources: list[Quality] = [await ask("quality", name) for name in around.quality]
    told: list[list[QualityScore]] = await together(*(source.scores() for source in sources))
    findings = []
    for dataset, wanted in least.items():
        scores = [score for found in told for score in found if score.dataset == dataset]
        problems = [problem for score in scores if (problem := _too_low(score, wanted))]
        if not scores:
            findings.append(_against("quality", f"{dataset} has no score", "see that its checks run"))
        elif problems:
            findings.append(_against("quality", f"{dataset} {problems[0]}", command("quality show", scores[0].ref)))
        else:
            known = [score.score for score in scores if score.score is not None and score.better == "higher"]
            words = f"scores {min(known):.3f}, {wanted:g} is required" if known else "is within its limits"
            findings.append(_met("quality", f"{dataset} {words}"))
    return findings


def _too_low(score: QualityScore, least: float) -> str:
    if score.score is None or score.state == "unknown":
        return f"has no score that counts now: {score.reason or 'no data'}; {least:g} is required"
    if score.better == "lower":  # of which a least score says nothing: its own limits do
        return f"is {score.words}: {score.state}" if score.state != "ok" else ""
    return f"scores {score.score:.3f}, {least:g} is required" if score.score < least else ""


async def _alerts(severity: Severity, around: RelatedSources, service: str, ask: Ask) -> list[Finding]:
    sources: list[Alerts] = [await ask("alerts", name) for name in around.alerts]
    if not sources:
        return [_against("alerts", "required, and the context has no source of alerts", "add one, or take it out")]
    told: list[list[Alert]] = await together(*(source.alerts() for source in sources))
    firing = [
        alert
        for found in told
        for alert in found
        if alert.state in FIRING
        and alert.severity.casefold() in _SEVERE[severity]
        and any(alert.labels.get(label) == service for label in around.labels)
    ]
    if not firing:
        return [_met("alerts", f"no {severity} alert fires on {service}")]
    names = ", ".join(dict.fromkeys(alert.name for alert in firing))
    return [_against("alerts", f"{len(firing)} {severity} alert fires on {service}: {names}", "teal alert list")]


async def _idle(pipelines: Sequence[str], around: RelatedSources, ask: Ask) -> list[Finding]:
    sources: list[Pipelines] = [await ask("pipelines", name) for name in around.pipelines]
    told: list[list[PipelineRun]] = await together(*(source.runs() for source in sources))
    runs = [run for found in told for run in found if run.pipeline in pipelines]
    unknown = [name for name in pipelines if name not in {run.pipeline for run in runs}]
    flying = [run for run in runs if run.state in IN_FLIGHT]
    if flying:
        refs = ", ".join(f"{run.ref} ({run.state})" for run in flying[:3])
        return [_against("runs", f"a run is in flight: {refs}", "wait until it has ended, or cancel it")]
    if unknown:
        return [_against("runs", f"nobody knows a run of {', '.join(unknown)}", "correct `idle`")]
    return [_met("runs", f"no run of {', '.join(pipelines)} is in flight")]


async def _backup(name: str, greatest: Duration, ask: Ask) -> list[Finding]:
    check: Check = await ask("checks", name)
    result = await check.run()
    age_s = next((datum.value for datum in result.perfdata if datum.label == "age"), None)
    if age_s is None:
        return [_against("backup", f"{name}: its age is not known: {result.message}", command("check", name))]
    age = Duration(round(age_s))
    if age_s > greatest:
        return [_against("backup", f"{name} is {age} old, {greatest} is required", "make a backup first")]
    return [_met("backup", f"{name} is {age} old, {greatest} is required")]


def unmet(findings: Iterable[Finding], overrides: Iterable[str]) -> Finding | None:
    """The first that forbids and was not overridden."""
    named = frozenset(overrides)
    return next((finding for finding in findings if finding.level == "block" and finding.code not in named), None)


def _met(code: str, text: str) -> Finding:
    return Finding(level="ok", code=code, text=text)


def _against(code: str, text: str, fix: str) -> Finding:
    return Finding(level="block", code=code, text=text, fix=fix, overridable=True)
