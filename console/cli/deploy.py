"""`teal deploy`: which color is live, and moving traffic between the two."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click
from msgspec.structs import replace

from actions.kinds import kind_of
from actions.models import Action, ActionKind, Request
from backends.errors import BackendError
from backends.models import Deployment, RunCondition, worst
from console.cli.options import DURATION, Common, Writing, common_options, writing_options
from console.cli.order_group import OrderGroup
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.writing import WRITING_PANELS, act
from console.errors import EXIT_NOT_FOUND, CommandError
from console.printing.output import document, worst_first
from console.printing.tables import View, condition_words, item_table, reasons
from console.reading.answers import journal_reports
from console.session import Session

CONDITIONS_S = 5.0

_strategy = click.option(
    "--strategy",
    default="",
    metavar="NAME",
    help="blue-green (all at once), gradual, canary, or a name of `stages` in the config.",
)


def _request_on(common: Common, kind: ActionKind, service: str) -> Request:
    return Request(kind=kind, service=service)


@click.group(cls=OrderGroup, port="deployments", request_on=_request_on, metavar="SERVICE", panels=WRITING_PANELS)
def deploy() -> None:
    """Deployments."""


@deploy.command()
@common_options()
@click.argument("service", required=False)
def status(common: Common, service: str | None) -> int:
    """Live color, both sides, and the three layers of truth."""

    async def answer(session: Session) -> Answer:
        known = [snapshot.key.name for snapshot in session.sources()]
        if service is not None and service not in known:
            fix = f"services: {', '.join(known) or 'none'}"
            raise CommandError(EXIT_NOT_FOUND, "not_found", f'no service "{service}"', fix=fix)
        snapshots = [snapshot for snapshot in session.sources() if service in (None, snapshot.key.name)]
        read_items = [item for snapshot in snapshots for item in snapshot.items]
        within_s = min(common.timeout_s or CONDITIONS_S, CONDITIONS_S)
        items = await asyncio.gather(*(_with_conditions(session, item, within_s) for item in read_items))
        found = document(
            "deploy.status",
            worst_first(items),
            context=session.context.name,
            snapshots=snapshots,
            limit=common.limit,
        )
        unknown = next((item.action_unknown for item in items if item.action_unknown), "")
        if unknown:
            errors = [*found.errors, *journal_reports(unknown)]
            found = replace(found, health=worst([found.health, "unknown"]), partial=True, errors=errors)
        return Answer(found, lambda: _lines(found.items, session, named=service is not None))

    return read(common, ("deployments",), answer)


async def _with_conditions(session: Session, item: Deployment, within_s: float) -> Deployment:
    """With what else decides how it runs; what keeps that from being known is said in its place."""
    try:
        async with asyncio.timeout(within_s):
            return replace(item, conditions=await session.conditions(item.backend))
    except (BackendError, TimeoutError) as error:
        message, fix = (error.message, error.fix) if isinstance(error, BackendError) else ("no answer in time", "")
        lost = RunCondition(kind="conditions", health="unknown", text=f"not known: {message}", fix=fix)
        return replace(item, conditions=(lost,))


def _lines(items: Sequence[Any], session: Session, *, named: bool) -> list[str]:
    """`named`: of a service that was asked for by its name all that decides how it runs, else what is amiss there."""
    told = [condition_words(item, each) for item in items for each in item.conditions or ()
            if named or each.health != "ok"]  # fmt: skip
    return [*item_table(Deployment, items, View.at_now(session.context.zone)), *reasons(items), *told]


@deploy.command()
@common_options()
@writing_options
@click.option("--to", default="", metavar="COLOR", help="The color that gets the traffic; by default the other one.")
@_strategy
@click.argument("service")
def flip(common: Common, writing: Writing, to: str, strategy: str, service: str) -> int:
    """Move all traffic of SERVICE to the other color, proven by fresh requests."""
    return act(common, writing, Request(kind="flip", service=service, to=to, strategy=strategy))


@deploy.command()
@common_options()
@writing_options
@click.option(
    "--to",
    default="",
    metavar="COLOR",
    help="The color to go back to, if neither journal nor switch says it; for a controller the number of a revision.",
)
@click.argument("service")
def rollback(common: Common, writing: Writing, to: str, service: str) -> int:
    """Undo the last switch of SERVICE in one step. A second one changes nothing.

    If the journal can not be used, it goes back at once without it, and keeps the records on stderr and in a file.
    """
    return act(common, writing, Request(kind="rollback", service=service, to=to))


@deploy.command()
@common_options()
@writing_options
@click.option(
    "--for", "for_s", type=DURATION, metavar="S", help="How long, such as 2h; by default until it is unfrozen."
)
@click.argument("service")
def freeze(common: Common, writing: Writing, for_s: float | None, service: str) -> int:
    """Refuse flips and releases of SERVICE; a rollback still goes."""
    return act(common, writing, Request(kind="freeze", service=service, for_s=for_s))


@deploy.command()
@common_options()
@writing_options
@click.argument("service")
@click.argument("version")
def reject(common: Common, writing: Writing, service: str, version: str) -> int:
    """Mark VERSION of SERVICE as bad: a release of it is refused from now on."""
    return act(common, writing, Request(kind="reject", service=service, version=version))


@deploy.command()
@common_options()
@writing_options
@click.argument("service")
@click.argument("version")
def accept(common: Common, writing: Writing, service: str, version: str) -> int:
    """Say that VERSION of SERVICE, which was found bad and is live, is meant to have the traffic. It takes --reason.

    It holds for this version on this side until traffic is moved again. To release VERSION elsewhere stays refused.
    """
    return act(common, writing, Request(kind="accept", service=service, version=version))


@deploy.command()
@common_options()
@writing_options
@click.option("--version", required=True, metavar="V", help="The version that goes onto the idle color.")
@_strategy
@click.argument("service")
def release(common: Common, writing: Writing, version: str, strategy: str, service: str) -> int:
    """Put a version of SERVICE on the idle color, prove it healthy there, then move the traffic."""
    return act(common, writing, Request(kind="release", service=service, version=version, strategy=strategy))


@deploy.command()
@common_options()
@writing_options
@click.option("--full", is_flag=True, help="Skip all that is left: pauses, steps, analyses.")
@click.option("--skip-step", is_flag=True, help="Skip the step that it is in, and its analysis.")
@click.argument("service")
def promote(common: Common, writing: Writing, full: bool, skip_step: bool, service: str) -> int:
    """Let the controller of SERVICE go on from where it waits. To skip more than that takes --reason."""
    if full and skip_step:
        raise click.UsageError("--full skips each step: leave out --skip-step")
    how = "full" if full else "skip-step" if skip_step else ""
    return act(common, writing, Request(kind="promote", service=service, strategy=how))


@deploy.command()
@common_options()
@writing_options
@click.option("--to", default="", metavar="COLOR", help="The color to take down; by default the idle one.")
@click.argument("service")
def retire(common: Common, writing: Writing, to: str, service: str) -> int:
    """Take down the color of SERVICE that has no traffic. A rollback then has to start it first."""
    return act(common, writing, Request(kind="retire", service=service, to=to))


@deploy.command()
@common_options()
@click.argument("service", required=False)
def history(common: Common, service: str | None) -> int:
    """Switches, releases, freezes and rejections of SERVICE, or of all services, newest first."""

    async def answer(session: Session) -> Answer:
        actions = await session.actions(limit=500)
        found = document(
            "deploy.history",
            [item for item in actions if kind_of(item.kind).port == "deployments" and service in (None, item.service)],
            context=session.context.name,
            limit=common.limit,
            health="ok",
        )
        return Answer(found, lambda: item_table(Action, found.items, View.at_now(session.context.zone)))

    return read(common, (), answer)
