"""`teal alert`: what is firing."""

import click

from backends.models import Alert
from console.cli.options import Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.output import document, worst_first
from console.refs import find
from console.session import Session
from console.tables import View, item_table


@click.group()
def alert() -> None:
    """Alerts."""


@alert.command("list")
@common_options()
@click.option("--state", help="Only alerts in this state.")
def list_(common: Common, state: str | None) -> int:
    """Alerts of all sources, worst first."""

    async def answer(session: Session) -> Answer:
        alerts = [item for item in session.store.items("alerts") if state in (None, item.state)]
        found = document(
            "alert.list",
            worst_first(alerts),
            context=session.context.name,
            snapshots=session.sources(),
            limit=common.limit,
        )
        return Answer(found, lambda: item_table(Alert, found.items, View.at_now(session.context.zone)))

    return read(common, ("alerts",), answer)


@alert.command()
@common_options()
@click.argument("ref")
def show(common: Common, ref: str) -> int:
    """One alert: its labels, since when, its runbook."""

    async def answer(session: Session) -> Answer:
        found = find(session.store.items("alerts"), ref, "alert")
        shown = document(
            "alert.show", [found], context=session.context.name, snapshots=session.sources(), health=found.health
        )
        return Answer(shown, lambda: _lines(session, found))

    return read(common, ("alerts",), answer)


def _lines(session: Session, alert: Alert) -> list[str]:
    lines = item_table(Alert, [alert], View.at_now(session.context.zone))
    lines += [f"{key:12}{value}" for key, value in sorted(alert.labels.items())]
    lines += [f"runbook     {alert.runbook_url}"] if alert.runbook_url else []
    return lines + [f"linked      {line}" for line in session.impact(alert.ref)]
