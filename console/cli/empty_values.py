"""Options and arguments that were given, and say nothing."""

import click
from click.core import ParameterSource


def must_not_be_empty(ctx: click.Context) -> None:
    """Raises click's usage error for an option or argument that was given as "": a variable of a script that is unset
    must not lift the limit that it was to set."""
    for param in ctx.command.params:
        given = ctx.params.get(param.name or "")
        empty = given == "" or (isinstance(given, tuple) and "" in given)
        if empty and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            raise click.BadParameter("it is empty: give it a value, or leave it out", ctx, param)
