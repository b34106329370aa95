"""`teal check`: one line and an exit code for monitoring, within nine seconds."""

import asyncio
from collections.abc import Sequence

import click

from backends.models import (
    Alert,
    CheckResult,
    Deployment,
    Health,
    Item,
    Panel,
    PerfDatum,
    PipelineRun,
    QualityScore,
    badness,
    worst,
)
from console.cli.options import Common, common_options
from console.cli.reading import chosen
from console.cli.showing import Answer, show
from console.derive import latest_runs, panel_health
from console.errors import CommandError
from console.output import document
from console.session import Session, opened
from console.store import Snapshot

BUDGET_S = 9.0
EXIT_OF_HEALTH: dict[Health, int] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
WORD_OF_HEALTH: dict[Health, str] = {"ok": "OK", "warning": "WARNING", "critical": "CRITICAL", "unknown": "UNKNOWN"}
JUDGED_PANELS: tuple[Panel, ...] = ("pipelines", "quality", "alerts", "deployments")


@click.command()
@common_options(("nagios", "json", "jsonl"))
@click.option("--list", "list_only", is_flag=True, help="The names that can be checked.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def check(common: Common, list_only: bool, names: tuple[str, ...]) -> int:
    """For monitoring: exit 0 ok, 1 warning, 2 critical, 3 unknown or not configured.

    NAMEs are checks of the config, or pipelines, quality, alerts, deployments as a whole; all of them by default.
    """
    try:
        return asyncio.run(_check(common, list_only, names))
    except CommandError as error:
        if common.output == "nagios":
            click.echo(f"UNKNOWN: {error.message} ({error.fix})")
            return EXIT_OF_HEALTH["unknown"]
        error.exit_code = EXIT_OF_HEALTH["unknown"]
        raise


async def _check(common: Common, list_only: bool, names: tuple[str, ...]) -> int:
    selection = chosen(common)
    entries = selection.context.entries
    known = [entry.name for entry in entries["checks"]] + [panel for panel in JUDGED_PANELS if entries[panel]]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandError(3, "not_found", f'no check "{unknown[0]}"', fix=f"there are: {', '.join(known) or 'none'}")
    if list_only:
        click.echo("".join(f"{name}\n" for name in known), nl=False)
        return 0
    wanted = names or tuple(known)
    panels: list[Panel] = [panel for panel in JUDGED_PANELS if panel in wanted]
    if "quality" in panels and "pipelines" not in panels:
        panels.append("pipelines")
    async with opened(Session(selection, panels=("checks", *panels))) as session:
        await session.read(deadline_s=min(common.timeout_s or BUDGET_S, BUDGET_S))
        results = [result for result in _results(session) if result.name in wanted]
        shown = document(
            "check",
            sorted(results, key=lambda result: badness(result.state)),
            context=session.context.name,
            snapshots=session.sources(),
            health=worst([result.state for result in results]),
        )
        if common.output == "nagios":
            click.echo("\n".join(nagios_lines(shown.items)))
        else:
            show(common, Answer(shown, list))
        return EXIT_OF_HEALTH[shown.health]


def _results(session: Session) -> list[CheckResult]:
    sources = session.sources()
    results: list[CheckResult] = []
    for snapshot in sources:
        if snapshot.key.panel != "checks":
            continue
        results += snapshot.items if snapshot.error is None and snapshot.items else [_lost(snapshot)]
    for panel in JUDGED_PANELS:
        own = [snapshot for snapshot in sources if snapshot.key.panel == panel]
        if own:
            results.append(_judged(panel, own))
    return results


def _lost(snapshot: Snapshot) -> CheckResult:
    message = snapshot.error.message if snapshot.error else "no answer in time"
    return CheckResult(ref=snapshot.key.name, name=snapshot.key.name, state="unknown", message=message)


def _judged(panel: Panel, snapshots: list[Snapshot]) -> CheckResult:
    items = [item for snapshot in snapshots for item in snapshot.items]
    items = latest_runs(items) if panel == "pipelines" else items
    bad = sorted((item for item in items if item.health != "ok"), key=lambda item: badness(item.health))
    lost = [_lost(snapshot).message for snapshot in snapshots if snapshot.error or snapshot.fetched_at is None]
    named = [_name(item) for item in bad[:3]]
    message = "; ".join([*lost, *named]) or f"{len(items)} ok"
    if len(bad) > 3:
        message += f" and {len(bad) - 3} more"
    counts = (PerfDatum(label="total", value=len(items), min=0), PerfDatum(label="not_ok", value=len(bad), min=0))
    return CheckResult(ref=panel, name=panel, state=panel_health(snapshots), message=message, perfdata=counts)


def _name(item: Item) -> str:
    match item:
        case Alert():
            return f"{item.name} {item.summary}".strip()
        case PipelineRun():
            return f"{item.pipeline} {item.state}"
        case QualityScore():
            return f"{item.dataset} " + ("no data" if item.score is None else f"{item.score:.2f}")
        case Deployment():
            return f"{item.service} live {item.live}"
        case _:
            return item.message


def nagios_lines(results: Sequence[CheckResult]) -> list[str]:
    """The monitoring plugins' output: a status line with all perfdata, then one line a check that is not ok."""
    if not results:
        return ["UNKNOWN: no checks configured"]
    state = worst([result.state for result in results])
    bad = [result for result in results if result.state != "ok"]
    text = f"{bad[0].name}: {bad[0].message}" if bad else f"{len(results)} checks"
    if len(bad) > 1:
        text += f" (and {len(bad) - 1} more)"
    perfdata = " ".join(_perfdatum(result, datum) for result in results for datum in result.perfdata)
    first = f"{WORD_OF_HEALTH[state]}: {_safe(text)}" + (f" | {perfdata}" if perfdata else "")
    return [first, *(f"{WORD_OF_HEALTH[result.state]}: {result.name}: {_safe(result.message)}" for result in results)]


def _perfdatum(result: CheckResult, datum: PerfDatum) -> str:
    label = f"{result.name}_{datum.label}".replace("'", "''").replace("=", "_")
    value = "U" if datum.value is None else f"{datum.value:g}{datum.unit}"
    limits = [datum.warn, datum.crit, *("" if limit is None else f"{limit:g}" for limit in (datum.min, datum.max))]
    return f"'{label}'={value};{';'.join(limits)}".rstrip(";")


def _safe(text: str) -> str:
    return text.replace("|", "/")  # a bar begins the perfdata
