"""`teal context`: the contexts of the config."""

import os

import click
import msgspec

from backends.errors import BackendError
from console.cli.options import Common, common_options
from console.cli.reading import chosen
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeHelp
from console.config.journal_place import journal_of
from console.config.load import Context, find_config, load_config
from console.loop import run as run_loop
from console.ports.table import PORTS
from console.printing.output import document, table


class ContextSummary(msgspec.Struct, frozen=True):
    """A context in one row. `journal`: where it is, or why that is not known; only of one that is shown."""

    name: str
    title: str
    default: bool
    protected: bool
    read_only: bool
    sandbox: bool
    source: str
    backends: dict[str, list[str]]
    journal: str = ""


@click.group(cls=WholeHelp)
def context() -> None:
    """Contexts."""


@context.command("list")
@common_options()
def list_(common: Common) -> int:
    """The contexts of the config, and which one is the default."""
    path = find_config(common.config)
    if path is None:
        found = [_summary(chosen(common).context, default=True)]
    else:
        config = load_config(path)
        found = [_summary(each, default=name == config.default_context) for name, each in config.contexts.items()]
    listed = document("context.list", found, context=None, limit=common.limit, health="ok")
    show(common, Answer(listed, lambda: _table(found)))
    return 0


@context.command("show")
@common_options()
@click.argument("name", required=False)
def show_(common: Common, name: str | None) -> int:
    """One context: its settings and its backends."""
    selection = chosen(msgspec.structs.replace(common, context=name or common.context))
    found = _summary(selection.context, default=name is None)
    found = msgspec.structs.replace(found, journal=run_loop(_journal(selection.context)))
    shown = document("context.show", [found], context=found.name, health="ok")
    lines = [*_table([found]), "", f"{'journal':12} {found.journal}"] + [
        f"{port:12} {', '.join(names)}" for port, names in found.backends.items() if names
    ]
    show(common, Answer(shown, lambda: lines))
    return 0


async def _journal(found: Context) -> str:
    try:
        return (await journal_of(found, os.environ)).name
    except BackendError as error:
        return f"not known: {error.message}"


def _summary(found: Context, *, default: bool) -> ContextSummary:
    backends: dict[str, list[str]] = {
        port: [f"{entry.name} ({entry.type})" for entry in found.entries[port]] for port in PORTS
    }
    config = found.config
    return ContextSummary(
        name=found.name,
        title=config.title,
        default=default,
        protected=config.protected,
        read_only=config.read_only,
        sandbox=found.sandbox,
        source=str(found.source),
        backends=backends,
    )


def _table(found: list[ContextSummary]) -> list[str]:
    def row(each: ContextSummary) -> list[str]:
        marks = [word for word in ("default", "protected", "read_only", "sandbox") if getattr(each, word)]
        return [each.name, each.title, ", ".join(marks), each.source]

    return table([row(each) for each in found], headers=["CONTEXT", "TITLE", "", "FILE"])
