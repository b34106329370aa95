"""The commands of `teal`. A command's module is imported when the command is called, never before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from console.cli.empty_values import must_not_be_empty
from console.cli.terminal import can_show_console, why_no_console
from console.streams import say
from console.version import __version__

if TYPE_CHECKING:
    from console.ports.record import Port

_FIRST: dict[str, tuple[str, str]] = {
    "status": ("console.cli.status:status", "Print every panel once."),
    "check": ("console.cli.check:check", "For monitoring: 0 ok, 1 warning, 2 critical, 3 unknown."),
    "open": ("console.cli.open:open_", "Open one thing, by ref or URL, in the console; without a terminal, print it."),
}
_LAST: dict[str, tuple[str, str]] = {
    "action": ("console.cli.action:action", "Actions:"),
    "note": ("console.cli.note:note", "Write a note into the audit."),
    "timeline": ("console.cli.timeline:timeline", "What changed: runs, switches, alerts, quality, notes, actions."),
    "report": ("console.cli.report:report", "Write an incident, or a handover to the next shift, as Markdown."),
    "audit": ("console.cli.audit:audit", "The audit:"),
    "context": ("console.cli.context:context", "Contexts of the config:"),
    "config": ("console.cli.config:config", "The config:"),
    "doctor": ("console.cli.doctor:doctor", "Test what works: each backend, the journal, the state, the config."),
    "plugins": ("console.cli.plugins:plugins", "List the adapters, and the package that each came with."),
    "completion": ("console.cli.completion:completion", "The completion script of a shell: bash, zsh, fish."),
    "schema": ("console.cli.schema:schema", "The JSON Schema of a document."),
    "sandbox": ("console.cli.sandbox:sandbox", "The embedded platform:"),
}


def commands() -> dict[str, str]:
    """Name and help of each, in the order of the help; those of the ports come from their table."""
    nouns = {port.noun.name: port.noun.help for port in _ports() if port.noun}
    return {**_helps(_FIRST), **nouns, **_helps(_LAST)}


def _helps(known: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: words for name, (_, words) in known.items()}


def _ports() -> list[Port[Any, Any]]:
    from console.ports.table import PORTS  # 20 ms that `--version` does not need

    return list(PORTS.values())


def _loaded(name: str) -> click.Command | None:
    from console.ports.record import loaded

    for port in _ports():
        if port.noun and port.noun.name == name:
            if port.noun.command:
                return cast(click.Command, loaded(port.noun.command))
            from console.cli.things import group_of

            return group_of(port)
    return None


class LazyGroup(click.Group):
    """A group that knows its commands by name and help, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None for an unknown name."""
        place, _ = _FIRST.get(cmd_name) or _LAST.get(cmd_name) or ("", "")
        module, _, name = place.partition(":")
        return cast(click.Command, getattr(import_module(module), name)) if place else _loaded(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands; only groups (their text ends in a colon) are imported, and name theirs themselves."""
        rows = []
        for name, text in commands().items():
            group = self.get_command(ctx, name) if text.endswith(":") else None
            below = f" {', '.join(group.list_commands(ctx))}." if isinstance(group, click.Group) else ""
            rows.append((name, f"{text}{below}"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, with the nearest known name where there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches

            near = get_close_matches(args[0], commands(), n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise click.UsageError(f'No such command "{args[0]}".{hint}', ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="teal", message="%(prog)s %(version)s")
@click.option("-c", "--config", metavar="FILE", help="The config file to read.")
@click.option("-C", "--context", metavar="NAME", help="A context of the config; also TEAL_CONTEXT.")
@click.option("--no-color", is_flag=True, help="Print without color; also NO_COLOR.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw the console without box drawing and symbols.")
@click.option("--mouse", is_flag=True, help="Let the console use the mouse.")
@click.pass_context
def teal(
    ctx: click.Context, config: str | None, context: str | None, no_color: bool, ascii_only: bool, mouse: bool
) -> None:
    """A terminal operations console for data platforms.

    Without a command it opens the console, or prints `teal status` where there is no terminal."""
    must_not_be_empty(ctx)
    ctx.obj = {**(ctx.obj or {}), "config": config, "context": context, "no_color": no_color}
    if ctx.invoked_subcommand is not None:
        return
    if can_show_console():
        from console.cli.console import open_console

        ctx.exit(open_console(config, context, ascii_only=ascii_only, mouse=mouse, color=not no_color))
    from console.cli.status import status

    if why := why_no_console():
        say(f"teal: {why}")
    ctx.invoke(status)
