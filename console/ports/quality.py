"""Scores of datasets, judged by the runs that write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actions.journal.episodes import Episode
from backends.models import QualityScore
from console import moment
from console.ports.asking import warning
from console.ports.derive import judge_quality, judge_runs
from console.ports.entry import Entry
from console.ports.metrics import METRICS
from console.ports.record import Adapters, Desk, Noun, Place, Port, Problem, Reading
from console.ports.store import Snapshot
from panels.kinds.quality import why
from panels.kinds.timeline import breached_since, scored

if TYPE_CHECKING:
    from backends.ports import Quality


async def _fetch(desk: Desk, name: str) -> tuple[QualityScore, ...]:
    scores = await desk.adapters.of(QUALITY, name).scores()
    return tuple(judge_quality(scores, desk.store.items("pipelines"), desk.links, read_at=moment.utc_now()))


def _then(desk: Desk, _: Snapshot) -> None:
    """Judge the runs by the scores that are known now: one that is green may have written what is bad."""
    for snapshot in desk.store.snapshots("pipelines"):
        items = tuple(judge_runs(list(snapshot.items), desk.store.items("quality"), desk.links))
        if items != snapshot.items:
            desk.store.put(replace(snapshot, items=items))


def _problems(scores: Sequence[QualityScore]) -> list[Problem]:
    """Each score below a limit; one that nobody knows is no news of the data."""
    return [
        Problem(
            kind="quality", ref=score.ref, state=score.state, subject=score.named, text=scored(score),
            since=breached_since(score),
        )
        for score in scores if score.state in ("critical", "warning") and score.score is not None
    ]  # fmt: skip


def _over(scores: Sequence[QualityScore], episode: Episode, read_at: datetime) -> datetime | None:
    """When it was measured that it is well again; not as long as it is unknown."""
    score = next((score for score in scores if score.ref == episode.ref), None)
    if score is None:
        return read_at
    return None if score.state == "unknown" else score.evaluated_at or read_at


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    if scores := await adapters.of(QUALITY, entry.name).scores():
        return list(scores)
    query = entry.data.get("query")
    source = entry.data.get("metrics")
    missing = []
    if isinstance(query, str) and isinstance(source, str):
        metrics = adapters.of(METRICS, source)
        missing = [name for name in metrics.names(query) if not await metrics.series_exist(name)]
    says = f": {source} has no series {', '.join(missing)}" if missing else ""
    fix = "correct the name in its query" if missing else "see what its query or path finds now"
    return [warning("no-scores", f"it finds no dataset{says}", fix)]


QUALITY: Port[Quality, QualityScore] = Port(
    name="quality",
    about="where scores of datasets come from.",
    protocol="backends.ports:Quality",
    ask=_ask,
    reading=Reading(
        item=QualityScore,
        fetch=_fetch,
        interval_s=60.0,
        then=_then,
        beside=("pipelines",),
        single="dataset",
        title=lambda score: score.named,
        says=why,
        at=lambda score: score.evaluated_at,
        problems=_problems,
        over=_over,
    ),
    noun=Noun(
        name="quality",
        help="Quality scores:",
        listed="The newest score of each dataset, worst first.",
        shown="One dataset: its score, the checks that failed, its trend.",
        lines="console.cli.quality:lines",
    ),
    place=Place(kind="panels.kinds.quality:QUALITY", title="Quality", key="2", row="lower"),
)
