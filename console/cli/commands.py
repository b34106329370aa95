"""The commands of `teal`. A command's module is imported when the command is called, never before."""

from importlib import import_module
from typing import Any

import click

from console.cli.terminal import can_show_console
from console.version import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("console.cli.status:status", "Every panel once."),
    "check": ("console.cli.check:check", "For monitoring: 0 ok, 1 warning, 2 critical, 3 unknown."),
    "open": ("console.cli.open:open_", "One thing, by ref or URL: in the console; printed where there is no terminal."),
    "run": ("console.cli.run:run", "Pipeline runs:"),
    "quality": ("console.cli.quality:quality", "Quality scores:"),
    "alert": ("console.cli.alert:alert", "Alerts:"),
    "deploy": ("console.cli.deploy:deploy", "Deployments:"),
    "log": ("console.cli.log:log", "Log lines, merged in time order."),
    "action": ("console.cli.action:action", "Actions:"),
    "note": ("console.cli.note:note", "Write a sentence down in the audit."),
    "timeline": ("console.cli.timeline:timeline", "What changed: runs, switches, alerts, quality, notes, actions."),
    "report": ("console.cli.report:report", "An incident, or what the next shift takes over, as Markdown."),
    "audit": ("console.cli.audit:audit", "The audit:"),
    "context": ("console.cli.context:context", "Contexts of the config:"),
    "config": ("console.cli.config:config", "The config:"),
    "doctor": ("console.cli.doctor:doctor", "What works: each backend, the journal, the state, the config."),
    "completion": ("console.cli.completion:completion", "The completion script of a shell: bash, zsh, fish."),
    "schema": ("console.cli.schema:schema", "The JSON Schema of a document."),
    "sandbox": ("console.cli.sandbox:sandbox", "The embedded platform:"),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and help, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands; only groups (their text ends in a colon) are imported, and name theirs themselves."""
        rows = []
        for name, (_, text) in COMMANDS.items():
            group = self.get_command(ctx, name) if text.endswith(":") else None
            below = f" {', '.join(group.list_commands(ctx))}." if isinstance(group, click.Group) else ""
            rows.append((name, f"{text}{below}"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, with the nearest known name where there is none."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise click.UsageError(f'No such command "{args[0]}".{hint}', ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="teal", message="%(prog)s %(version)s")
@click.option("-c", "--config", metavar="FILE", help="Config file.")
@click.option("-C", "--context", metavar="NAME", help="Context of the config (TEAL_CONTEXT).")
@click.option("--no-color", is_flag=True, help="No color (NO_COLOR too).")
@click.option("--ascii", "ascii_only", is_flag=True, help="The console without box drawing and symbols.")
@click.option("--mouse", is_flag=True, help="The console with the mouse.")
@click.pass_context
def teal(
    ctx: click.Context, config: str | None, context: str | None, no_color: bool, ascii_only: bool, mouse: bool
) -> None:
    """A terminal operations console for data platforms. Alone it opens the console; with no terminal: `teal status`."""
    ctx.obj = {"config": config, "context": context, "no_color": no_color}
    if ctx.invoked_subcommand is not None:
        return
    if can_show_console():
        from console.cli.console import open_console

        ctx.exit(open_console(config, context, ascii_only=ascii_only, mouse=mouse, color=not no_color))
    from console.cli.status import status

    ctx.invoke(status)
