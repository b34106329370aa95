"""`teal NOUN list` and `show` of a port that needs no command of its own, and one thing in the form of its port."""

from collections.abc import Mapping
from typing import Any

import click

from console.cli.options import Common, common_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.whole_help import WholeHelp
from console.ports.record import Noun, Port, Reading, loaded
from console.printing.output import document, worst_first
from console.printing.tables import View, item_table
from console.reading.refs import find
from console.session import Session


def group_of(port: Port[Any, Any]) -> click.Group:
    """The commands of a port that is read and has a noun."""
    noun, reading = port.noun, port.reading
    if noun is None or reading is None:
        raise ValueError(f"{port.name} has no commands")

    @click.group(noun.name, cls=WholeHelp, help=f"{noun.help.rstrip(':')}.")
    def group() -> None: ...

    @group.command("list", help=noun.listed)
    @common_options()
    def list_(common: Common) -> int:
        return read(common, (port.name, *reading.beside), lambda session: _listed(session, common, port, noun, reading))

    @group.command(help=noun.shown)
    @common_options()
    @click.argument("ref")
    def show(common: Common, ref: str) -> int:
        async def answer(session: Session) -> Answer:
            known = session.store.items(port.name)
            return await shown(session, port, find(known, ref, reading.single, session.sources(port.name)))

        return read(common, (port.name, *reading.beside), answer)

    return group


async def _listed(
    session: Session, common: Common, port: Port[Any, Any], noun: Noun, reading: Reading[Any, Any]
) -> Answer:
    found = document(
        f"{noun.name}.list",
        worst_first(reading.standing(session.store.snapshots(port.name))),
        context=session.context.name,
        snapshots=session.sources(port.name),
        limit=common.limit,
    )
    return Answer(found, lambda: item_table(reading.item, found.items, View.at_now(session.context.zone)))


async def shown(session: Session, port: Port[Any, Any], item: Any) -> Answer:
    """One thing, as its port shows it. Raises BackendError where more than it is read for that."""
    if port.show:
        answer: Answer = await loaded(port.show)(session, item)
        return answer
    kind = port.shown_as or f"{port.noun.name if port.noun else port.name}.show"
    found = document(kind, [item], context=session.context.name, snapshots=session.sources(), health=item.health)

    def lines() -> list[str]:
        more = loaded(port.noun.lines)(session, item) if port.noun and port.noun.lines else []
        return [*item_table(type(item), [item], View.at_now(session.context.zone)), *more]

    return Answer(found, lines)


def documents_of(port: Port[Any, Any]) -> Mapping[str, Any]:
    """What the items of each of its JSON documents are."""
    if port.documents or port.noun is None or port.reading is None:
        return {kind: loaded(shape) if isinstance(shape, str) else shape for kind, shape in port.documents.items()}
    return {f"{port.noun.name}.{what}": port.reading.item for what in ("list", "show")}
