"""`teal open`: one thing, by its ref or the address of its page: in the console, or printed."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import click

from backends.models import Item
from console.cli.options import Common, common_options
from console.cli.reading import READ_TIMEOUT_S, chosen
from console.cli.showing import Answer, show
from console.cli.terminal import can_show_console
from console.cli.things import shown
from console.cli.whole_help import WholeCommand
from console.loop import run as run_loop
from console.ports.store import Snapshot
from console.ports.table import port_of, readings
from console.reading.refs import find, find_run, not_there
from console.session import Session, opened


def _nameable() -> tuple[str, ...]:
    return tuple(name for name, reading in readings() if reading.single)


@click.command("open", cls=WholeCommand)
@common_options()
@click.argument("ref", metavar="REF|URL")
def open_(common: Common, ref: str) -> int:
    """Open a run, dataset, alert, service or check in the console. Without a terminal, or with -o json, print it.

    URL is that of a page which the source of the thing links: of a run, an alert's runbook or its rule.
    """
    on_screen = common.output == "table" and common.watch_s is None and can_show_console()
    found = run_loop(_found(common, ref, on_screen=on_screen))
    if not on_screen:
        return 0
    from console.cli.console import open_console

    return open_console(common.config, common.context, color=common.color, item=found)


async def _found(common: Common, wanted: str, *, on_screen: bool) -> Item:
    """The item; printed already where it is not for the screen. Raises CommandError."""
    async with opened(Session(chosen(common), panels=_nameable())) as session:
        await session.read(deadline_s=common.timeout_s or READ_TIMEOUT_S, patient=common.timeout_s is None)
        found = find_item(session, wanted)
        if not on_screen:
            show(common, await _shown(session, found))
        return found


def find_item(session: Session, wanted: str) -> Item:
    """What is meant: by address, by `PIPELINE@latest`, by ref. Raises CommandError, as `find`."""
    items: list[Any] = [item for panel in _nameable() for item in session.store.items(panel)]
    if "://" in wanted:
        return _by_address(items, wanted, session.sources())
    if "@" in wanted:
        return find_run(session.store.items("pipelines"), wanted, session.sources("pipelines"))
    found: Item = find(items, wanted, "item", session.sources())
    return found


def _by_address(items: Sequence[Item], address: str, sources: Sequence[Snapshot]) -> Item:
    asked = _plain(address)
    for item in items:
        known = (getattr(item, name, None) for name in ("url", "source_url", "runbook_url"))
        if any(asked == _plain(each) for each in known if each):
            return item
    fix = "give its ref: `teal run list --fields ref`, `teal alert list --fields ref`"
    raise not_there(address, "item with the page", sources, fix=fix)


def _plain(address: str) -> str:
    return unquote(address).rstrip("/")


async def _shown(session: Session, found: Item) -> Answer:
    port = port_of(found)
    assert port is not None, found
    return await shown(session, port, found)
