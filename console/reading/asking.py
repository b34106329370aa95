"""Each entry of a context asked once, as much as can be asked while nothing is changed and nobody is told."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from backends.command_line import command
from backends.errors import BackendError
from backends.models import Alert, Finding, QualityScore, Truth
from backends.ports import LogQuery
from backends.together import together
from console.config.load import Entry
from console.config.model import Port
from console.reading.adapters import Adapters
from console.reading.store import Snapshot

CAPACITY = "capacity"  # of the side that gains traffic, and here none does


async def ask(adapters: Adapters, entry: Entry) -> tuple[Any, ...]:
    """Raises BackendError where it does not do what the config wants of it. Returns the result of a check, the scores,
    and a Finding for each thing that is not as it was meant."""
    return tuple(await _ASKS[entry.port](adapters, entry))


async def unknown_names(adapters: Adapters, snapshots: Sequence[Snapshot]) -> list[tuple[str, str]]:
    """(`pipeline` or `dataset`, name) of the links that no source has; nothing where one of them did not answer."""
    context = adapters.context
    found: list[tuple[str, str]] = []
    quality = [snapshot for snapshot in snapshots if snapshot.key.panel == "quality"]
    if quality and not any(snapshot.error or snapshot.fetched_at is None for snapshot in quality):
        scored = {score.dataset for snapshot in quality for score in snapshot.items if isinstance(score, QualityScore)}
        linked = dict.fromkeys(name for row in context.config.links.rows for name in row.datasets)
        found += [("dataset", name) for name in linked if name not in scored]
    linked = dict.fromkeys(row.pipeline for row in context.config.links.rows if row.pipeline)
    entries = context.entries["pipelines"] if linked else ()
    try:
        listed = await together(*(adapters.pipelines(entry.name).pipelines() for entry in entries))
    except BackendError:
        return found  # said
    known = {info.pipeline for infos in listed for info in infos}
    return found + [("pipeline", name) for name in linked if known and name not in known]


async def _metrics(adapters: Adapters, entry: Entry) -> list[Any]:
    await adapters.metrics(entry.name).series_exist("up")
    return []


async def _pipelines(adapters: Adapters, entry: Entry) -> list[Any]:
    await adapters.pipelines(entry.name).runs(limit=1)
    return []


async def _quality(adapters: Adapters, entry: Entry) -> list[Any]:
    if scores := await adapters.quality(entry.name).scores():
        return list(scores)
    query = entry.data.get("query")
    source = entry.data.get("metrics")
    missing = []
    if isinstance(query, str) and isinstance(source, str):
        metrics = adapters.metrics(source)
        missing = [name for name in metrics.names(query) if not await metrics.series_exist(name)]
    why = f": {source} has no series {', '.join(missing)}" if missing else ""
    fix = "correct the name in its query" if missing else "see what its query or path finds now"
    return [_warning("no-scores", f"it finds no dataset{why}", fix)]


async def _alerts(adapters: Adapters, entry: Entry) -> list[Any]:
    found = await adapters.alerts(entry.name).alerts()
    return [_warning("blind", _words(alert), "") for alert in found if alert.state == "unknown"]


def _words(alert: Alert) -> str:
    return f"{alert.name}: {alert.summary}" if alert.summary else alert.name


async def _deployments(adapters: Adapters, entry: Entry) -> list[Any]:
    """What is live, what proves it, and what the system itself says of a write that changes nothing."""
    switch = adapters.switch(entry.name)
    truth = (await switch.deployment()).truth
    if truth.control.value == "unknown":
        fix = f"`{command('deploy status', entry.name)}` shows it"
        raise BackendError("not_found", truth.control.detail or "what is live can not be read", fix=fix)
    found = list(_unproven(truth))
    if hasattr(switch, "shift") and not adapters.context.config.read_only:
        now = await switch.observe()
        most = max(now.weights, key=lambda color: now.weights[color], default="")
        if most:  # of a split, what every switch can write: all to the side that has most of it
            found += _against(await switch.preflight(now, {color: 100 * (color == most) for color in now.weights}))
    return found


def _unproven(truth: Truth) -> Iterator[Finding]:
    for name, layer in (("endpoints", truth.endpoints), ("a fresh request", truth.data)):
        if layer.value == "unknown":
            fix = "see that `probe` and `health` answer: without them nothing is switched"
            yield _warning("unproven", f"{name}: {layer.detail or 'unknown'}", fix)


def _against(findings: list[Finding]) -> Iterator[Finding]:
    for finding in findings:
        if finding.level == "block" and finding.code != CAPACITY and not finding.overridable:
            raise BackendError("config", finding.text, fix=finding.fix)
        if finding.level != "ok" and finding.code != CAPACITY:
            yield _warning(finding.code, finding.text, finding.fix)


async def _logs(adapters: Adapters, entry: Entry) -> list[Any]:
    await adapters.logs(entry.name).query(LogQuery(limit=1))
    return []


async def _checks(adapters: Adapters, entry: Entry) -> list[Any]:
    return [await adapters.check(entry.name).run()]


async def _notify(adapters: Adapters, entry: Entry) -> list[Any]:
    notifier = adapters.notifier(entry.name)
    if hasattr(notifier, "dry_run"):  # one of a third party may be older than that
        await notifier.dry_run()
    return []


def _warning(code: str, text: str, fix: str) -> Finding:
    return Finding(level="warning", code=code, text=text, fix=fix)


_ASKS: dict[Port, Callable[[Adapters, Entry], Awaitable[list[Any]]]] = {
    "metrics": _metrics, "pipelines": _pipelines, "quality": _quality, "alerts": _alerts,
    "deployments": _deployments, "logs": _logs, "checks": _checks, "notify": _notify,
}  # fmt: skip
