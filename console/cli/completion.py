"""`teal completion`: what a shell reads to complete the words of `teal`."""

import click
from click.shell_completion import get_completion_class

from console.cli.whole_help import WholeCommand

PROGRAM = "teal"
VARIABLE = "_TEAL_COMPLETE"


@click.command(cls=WholeCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """The script for SHELL. bash, zsh: eval "$(teal completion bash)"; fish: teal completion fish | source."""
    from console.cli.commands import teal

    shape = get_completion_class(shell)
    assert shape is not None, shell
    click.echo(shape(teal, {}, PROGRAM, VARIABLE).source())
    return 0
