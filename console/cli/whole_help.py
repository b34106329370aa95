"""Groups whose help says of each command its whole first sentence: click cuts it at 45 characters."""

import click


class WholeHelp(click.Group):
    """A group that wraps what its commands say of themselves, and cuts nothing."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(limit=400)) for name, each in found if each and not each.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
