"""Runs of pipelines, judged by the scores of what they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actions.journal.episodes import Episode
from backends.errors import BackendError
from backends.models import LogEntry, PipelineRun
from console.ports.derive import judge_quality, judge_runs, latest_runs
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Noun, Place, Port, Problem, Reading, Then, everything
from console.ports.store import Snapshot
from panels.kinds.pipelines import reason
from panels.kinds.timeline import ended

if TYPE_CHECKING:
    from backends.ports import Pipelines

RUN_LIMIT = 200
PAST_LIMIT = 1000


async def _fetch(desk: Desk, name: str) -> tuple[PipelineRun, ...]:
    after, _ = desk.window()
    runs = await desk.adapters.of(PIPELINES, name).runs(since=after, limit=RUN_LIMIT)
    return tuple(judge_runs(runs, desk.store.items("quality"), desk.links))


async def _past(adapters: Adapters, name: str, then: Then) -> tuple[PipelineRun, ...]:
    runs = await adapters.of(PIPELINES, name).runs(since=then.since, limit=PAST_LIMIT)
    begun = [run for run in runs if run.started_at is not None and run.started_at <= then.until]
    if len(runs) >= PAST_LIMIT and not begun:
        message = f"more than {PAST_LIMIT:,} runs began since: they do not reach back to this time"
        raise BackendError("not_found", message, fix="`teal run list` of one pipeline")
    return tuple(begun)


def _then(desk: Desk, _: Snapshot) -> None:
    """Judge the scores by the runs that are known now; read them anew where a run that writes them has ended."""
    writers = {row.pipeline for row in desk.links.rows if row.datasets}
    runs = [run for run in desk.store.items("pipelines") if run.pipeline in writers]
    for snapshot in desk.store.snapshots("quality"):
        if snapshot.fetched_at is None:
            continue
        items = tuple(judge_quality(list(snapshot.items), runs, desk.links, read_at=snapshot.fetched_at))
        if items != snapshot.items:
            desk.store.put(replace(snapshot, items=items))
        if any(run.ended_at is not None and run.ended_at > snapshot.fetched_at for run in runs):
            desk.wake(snapshot.key)


def _problems(runs: Sequence[PipelineRun]) -> list[Problem]:
    """Each run that did not end well, up to the next good one of its pipeline, and each that is late."""
    return [
        Problem(
            kind="run", ref=run.ref, state=run.health, subject=run.pipeline,
            text=f"{run.pipeline} {ended(run) if run.ended_at is not None else reason(run)}",
            since=run.ended_at, until=_good_after(runs, run.pipeline, run.ended_at) if run.ended_at else None,
        )
        for run in runs if run.health != "ok"
    ]  # fmt: skip


def _good_after(runs: Sequence[PipelineRun], pipeline: str, at: datetime) -> datetime | None:
    """When the first good run of a pipeline ended after that."""
    good = [run.ended_at for run in runs if run.pipeline == pipeline and run.state == "success" and run.health == "ok"]
    return min((ended_at for ended_at in good if ended_at is not None and ended_at > at), default=None)


def _over(runs: Sequence[PipelineRun], episode: Episode, read_at: datetime) -> datetime | None:
    """When a later run of its pipeline, or its own next try, ended well; one that waited or was late, once it does not.
    That it is not told of any more says nothing: the window moves on."""
    own = next((run for run in runs if run.ref == episode.ref), None)
    if own is not None and own.ended_at is None and episode.state == "warning":
        return read_at
    return _good_after(runs, episode.subject, episode.since)


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    await adapters.of(PIPELINES, entry.name).runs(limit=1)
    return []


def _newest(snapshots: Sequence[Snapshot]) -> list[PipelineRun]:
    return latest_runs(everything(snapshots))


PIPELINES: Port[Pipelines, PipelineRun] = Port(
    name="pipelines",
    about="where runs come from.",
    protocol="backends.ports:Pipelines",
    ask=_ask,
    writes=("trigger", "run"),
    referred=True,
    reading=Reading(
        item=PipelineRun,
        fetch=_fetch,
        interval_s=15.0,
        then=_then,
        beside=("quality",),
        standing=_newest,
        single="run",
        title=lambda run: run.pipeline,
        says=lambda run: ": ".join(filter(None, (f"{run.pipeline} {run.state}", reason(run)))),
        at=lambda run: run.ended_at or run.started_at,
        past=_past,
        began=lambda run: run.started_at,
        problems=_problems,
        over=_over,
        empty="No runs",
    ),
    noun=Noun(name="run", help="Pipeline runs:", command="console.cli.run:run"),
    documents={"run.list": PipelineRun, "run.show": "console.cli.run_document:RunWithTasks", "run.log": LogEntry},
    show="console.cli.run:shown_run",
    screen="console.screens.run_detail:RunDetail",
    place=Place(kind="panels.kinds.pipelines:PIPELINES", title="Pipelines", key="1", row="upper"),
)
