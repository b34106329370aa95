"""Help that cuts nothing, and has what is a command's own before what it shares with others."""

from typing import ClassVar

import click


class CommonOption(click.Option):
    """An option that every command has."""

    section: ClassVar[str] = "Common options"


class ChangeOption(click.Option):
    """An option that every command has which changes something."""

    section: ClassVar[str] = "Options of a change"


class WholeCommand(click.Command):
    """A command whose own options come first: the shared ones alone fill a terminal of 24 lines."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], ChangeOption.section: [], CommonOption.section: []}
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (row := each.get_help_record(ctx)):
                sections[getattr(each, "section", "Options")].append(row)
        for name, rows in sections.items():
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)


class WholeHelp(click.Group):
    """A group that says of each command its whole first sentence: click cuts it at 45 characters."""

    command_class = WholeCommand

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(limit=400)) for name, each in found if each and not each.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
