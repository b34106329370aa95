"""`teal quality`: the scores of datasets."""

import click

from backends.models import Panel, QualityScore
from console.cli.options import Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.printing.output import document, worst_first
from console.printing.tables import View, item_table
from console.reading.refs import find
from console.session import Session
from panels.kinds.quality import freshness_words
from panels.words import clock

# The runs are read too: a score that is older than the last good run of its pipeline is unknown (docs/contract.md).
PANELS: tuple[Panel, ...] = ("quality", "pipelines")


@click.group()
def quality() -> None:
    """Quality scores."""


@quality.command("list")
@common_options()
def list_(common: Common) -> int:
    """The newest score of each dataset, worst first."""

    async def answer(session: Session) -> Answer:
        found = document(
            "quality.list",
            worst_first(session.store.items("quality")),
            context=session.context.name,
            snapshots=[snapshot for snapshot in session.sources() if snapshot.key.panel == "quality"],
            limit=common.limit,
        )
        return Answer(found, lambda: item_table(QualityScore, found.items, View.at_now(session.context.zone)))

    return read(common, PANELS, answer)


@quality.command()
@common_options()
@click.argument("ref")
def show(common: Common, ref: str) -> int:
    """One dataset: its score, the checks that failed, its trend."""

    async def answer(session: Session) -> Answer:
        return shown_score(session, find(session.store.items("quality"), ref, "dataset", session.sources("quality")))

    return read(common, PANELS, answer)


def shown_score(session: Session, score: QualityScore) -> Answer:
    """A score with the checks that failed and its trend."""
    found = document(
        "quality.show", [score], context=session.context.name, snapshots=session.sources(), health=score.health
    )
    return Answer(found, lambda: _lines(session, score))


def _lines(session: Session, score: QualityScore) -> list[str]:
    zone = session.context.zone
    lines = item_table(QualityScore, [score], View.at_now(zone))
    lines += [f"suite       {score.suite}"] if score.suite else []
    lines += [f"why         {score.reason}"] if score.reason else []
    lines += [f"failed      {failure.check}: {failure.detail}" for failure in score.failures]
    lines += [f"no verdict  {error.check}: {error.detail}" for error in score.errors]
    lines += [f"freshness   {freshness_words(score.freshness, zone)}"] if score.freshness is not None else []
    lines += [f"run         {score.run_ref}"] if score.run_ref else []
    lines += [f"source      {score.backend}"]
    lines += ["trend       MEASURED  SCORE"] if score.trend else []
    lines += [f"            {clock(point.at, zone):8}  {point.score:.3f}" for point in score.trend[-12:]]
    return lines + [f"linked      {line}" for line in session.impact(score.ref)]
