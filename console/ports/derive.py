"""What no single backend can say: what belongs together, and what follows from it. Pure functions over models."""

import heapq
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from backends.models import (
    Alert,
    Deployment,
    ErrorIssue,
    Item,
    LogEntry,
    PipelineRun,
    QualityScore,
    severity_rank,
    worst,
)
from backends.quality.rows import outdated
from console.ports.links import LinkRow, Links
from console.ports.store import Snapshot
from panels.kinds.quality import why

MAX_NAMED = 3
MAX_LINKED = 20


def latest_runs(runs: list[PipelineRun]) -> list[PipelineRun]:
    """The newest run of each pipeline, in the order of `runs` (newest first)."""
    newest: dict[tuple[str, str], PipelineRun] = {}
    for run in runs:
        newest.setdefault((run.backend, run.pipeline), run)
    return list(newest.values())


def merged_lines(snapshots: Sequence[Snapshot]) -> list[LogEntry]:
    """The lines of log sources as one, in time order; a line without a time stays where it stands."""
    streams = []
    for order, snapshot in enumerate(snapshots):
        last, keyed = datetime.min.replace(tzinfo=UTC), []
        for position, entry in enumerate(snapshot.items):
            last = max(last, entry.at) if entry.at else last
            keyed.append((last, order, position, entry))
        streams.append(keyed)
    return [entry for _, _, _, entry in heapq.merge(*streams, key=lambda item: item[:3])]


def judge_quality(
    scores: list[QualityScore], runs: list[PipelineRun], links: Links, *, read_at: datetime
) -> list[QualityScore]:
    """`scores`, where they are older than the last successful run of the pipeline that writes the dataset: a good one
    is unknown, a bad one stays bad, and both say so. With the run that wrote what they are about, where their system
    does not name it.

    A run that ended after `read_at`, when the scores were read, says nothing of them: they may be new already.
    """
    last_success: dict[str, PipelineRun] = {}
    for run in runs:
        if run.state == "success" and run.ended_at is not None and run.ended_at <= read_at:
            last_success.setdefault(run.pipeline, run)
    return [_judge(_with_run(score, runs, links), last_success, links) for score in scores]


def _with_run(score: QualityScore, runs: list[PipelineRun], links: Links) -> QualityScore:
    """The newest run of a linked pipeline that had begun when the score was measured."""
    if score.run_ref is not None or score.evaluated_at is None:
        return score
    writers = {row.pipeline for row in links.rows if score.dataset in row.datasets}
    begun = [
        (run.started_at, run.ref)
        for run in runs
        if run.pipeline in writers and run.started_at is not None and run.started_at <= score.evaluated_at
    ]
    return replace(score, run_ref=max(begun)[1]) if begun else score


def judge_runs(runs: list[PipelineRun], scores: list[QualityScore], links: Links) -> list[PipelineRun]:
    """`runs`, the newest of each pipeline with the quality of the data that it wrote: a green one may be the worst."""
    newest = {run.ref for run in latest_runs(runs)}
    return [_with_data(run, scores if run.ref in newest else [], links) for run in runs]


def _with_data(run: PipelineRun, scores: list[QualityScore], links: Links) -> PipelineRun:
    judged = [score for score in written_by(run, scores, links) if score.state != "unknown"]
    data = worst([score.state for score in judged]) if run.state == "success" and judged else None
    bad = [score for score in judged if score.state == data and data != "ok"]
    words = "; ".join(map(why, bad[:MAX_NAMED]))
    words += f" and {len(bad) - MAX_NAMED} more" if len(bad) > MAX_NAMED else ""
    found = replace(run, data=data, data_reason=words or None)
    return run if run == found else found


def written_by(run: PipelineRun, scores: Sequence[QualityScore], links: Links | None) -> list[QualityScore]:
    """The scores of the datasets that this very run wrote, or that nobody has judged since; none that has fallen only
    after what the run wrote had been measured to be better."""
    datasets = {name for row in (links.rows if links else ()) if row.pipeline == run.pipeline for name in row.datasets}
    linked = [score for score in scores if score.dataset in datasets or (score.run_ref and score.run_ref == run.ref)]
    return [score for score in linked if score.state == "unknown" or (_since(run, score) and not _fell(run, score))]


def _since(run: PipelineRun, score: QualityScore) -> bool:
    return run.started_at is None or score.evaluated_at is None or score.evaluated_at >= run.started_at


def _fell(run: PipelineRun, score: QualityScore) -> bool:
    """Whether the first measurement after its end was better than the newest one: something else made it worse."""
    if run.ended_at is None or score.evaluated_at is None:
        return False
    after = (point for point in score.trend if run.ended_at <= point.at < score.evaluated_at)
    first = min(after, key=lambda point: point.at, default=None)
    return first is not None and severity_rank(score.judged(first.score)) > severity_rank(score.state)


def _judge(score: QualityScore, last_success: dict[str, PipelineRun], links: Links) -> QualityScore:
    for row in links.rows:
        run = last_success.get(row.pipeline)
        if score.dataset not in row.datasets or run is None or run.started_at is None or score.evaluated_at is None:
            continue
        words = f"older than the last good run of {row.pipeline}"
        if score.evaluated_at < run.started_at and score.state != "unknown" and words not in (score.reason or ""):
            reason = "; ".join(filter(None, (words, score.reason))) if score.state != "ok" else words
            return replace(score, state=outdated(score.state), reason=reason)
    return score


def related(ref_names: set[str], links: Links) -> list[LinkRow]:
    """The rows of `links` that name any of `ref_names` as pipeline, dataset or service."""
    return [row for row in links.rows if ref_names & {row.pipeline, *row.datasets, *row.services}]


def names_of(item: Item, links: Links) -> set[str]:
    """What `item` is about, whatever kind of thing that is."""
    return {name for names in named_by_kind(item, links).values() for name in names}


def named_by_kind(item: Item, links: Links) -> dict[str, tuple[str, ...]]:
    """What `item` is about: its pipeline, dataset or service; for an alert, what its labels name."""
    match item:
        case PipelineRun():
            return {"pipeline": (item.pipeline,)}
        case QualityScore():
            return {"dataset": (item.dataset,)}
        case Deployment():
            return {"service": (item.service,)}
        case ErrorIssue():
            return {"service": (item.service,)} if item.service else {}
        case Alert():
            kinds = links.alert_labels.items()
            return {kind: tuple(item.labels[each] for each in labels if each in item.labels) for kind, labels in kinds}
        case _:
            return {}


def impact(item: Item, links: Links, scores: Sequence[QualityScore] = ()) -> list[str]:
    """Who is downstream of `item` beside itself, and whom to tell, one line each: by the links, and by what the systems
    of quality know to be made of its datasets (`scores`)."""
    lines = []
    names = names_of(item, links)
    own = set() if isinstance(item, Alert) else names
    linked = names | {dataset for row in related(names, links) for dataset in row.datasets}
    for row in related(names, links):
        parts = [
            ("pipeline", "" if row.pipeline in own else row.pipeline),
            ("datasets", ", ".join(name for name in row.datasets if name not in own)),
            ("services", ", ".join(name for name in row.services if name not in own)),
        ]
        parts += [("owner", row.owner), ("channel", row.channel)]
        lines += [f"{label} {value}" for label, value in parts if value]
    lines += [f"downstream {name}" for score in scores if score.dataset in linked for name in score.downstream]
    return list(dict.fromkeys(lines))


def ref_of(item: Item) -> str:
    """Its name over all backends; empty where it has none."""
    return getattr(item, "ref", None) or ""


def linked(item: Item, links: Links, others: Sequence[Item]) -> list[Item]:
    """What of `others` goes with `item`: the run that it names, then what the links name with it, the worst first; of a
    pipeline its newest run, the first in `others`."""
    own = item.run_ref if isinstance(item, QualityScore) else None
    names = names_of(item, links)
    for row in related(names, links):
        names |= {row.pipeline, *row.datasets, *row.services}
    runs = [other for other in others if isinstance(other, PipelineRun)]
    newest = {run.ref for run in latest_runs(runs)}
    found = [
        other for other in others
        if ref_of(other) != ref_of(item) and (ref_of(other) == own or (
            names_of(other, links) & names and (not isinstance(other, PipelineRun) or other.ref in newest)
        ))
    ]  # fmt: skip
    return sorted(found, key=lambda other: (ref_of(other) != own, severity_rank(other.health)))[:MAX_LINKED]
