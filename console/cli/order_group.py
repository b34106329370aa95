"""A group that has a command for each kind of order which takes the name of a thing and nothing else."""

from collections.abc import Callable
from typing import Any

import click

from actions.kinds import OrderPort, commands_of
from backends.models import Panel
from console.cli.options import Common, Writing, common_options, writing_options
from console.cli.whole_help import WholeCommand, WholeHelp
from console.cli.writing import Wanted, act

RequestOn = Callable[[Common, str, str], Wanted]
"""The request of a kind on the thing of that name."""


class OrderGroup(WholeHelp):
    """Its own commands, and those of the records of `port` that have a help; `panels` are read to find the thing."""

    def __init__(
        self, *given: Any, port: OrderPort, request_on: RequestOn, metavar: str, panels: tuple[Panel, ...], **more: Any
    ) -> None:
        super().__init__(*given, **more)
        self._port = port
        self._request_on = request_on
        self._metavar = metavar
        self._panels = panels

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, by name."""
        return sorted({*super().list_commands(ctx), *commands_of(self._port)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Its own, or that of a record; None for an unknown name."""
        kind = commands_of(self._port).get(cmd_name)
        own = super().get_command(ctx, cmd_name)
        if own is not None or kind is None:
            return own

        @click.command(cmd_name, cls=WholeCommand, help=kind.help)
        @common_options()
        @writing_options
        @click.argument("name", metavar=self._metavar)
        def order(common: Common, writing: Writing, name: str) -> int:
            return act(common, writing, self._request_on(common, kind.name, name), panels=self._panels)

        return order
