"""`teal note`: a sentence for the others, in the chain of the audit."""

import click

from backends.text import clean
from console.cli.options import Common, common_options
from console.cli.reading import chosen
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeCommand
from console.errors import EXIT_USAGE, CommandError
from console.loop import run as run_loop
from console.printing.output import document
from console.session import Session, opened

MAX_CHARS = 1000


@click.command(cls=WholeCommand)
@common_options()
@click.argument("text", nargs=-1, required=True)
def note(common: Common, text: tuple[str, ...]) -> int:
    """Write TEXT into the audit, with who and when; `teal audit list` shows it. Several words need no quotes."""
    sentence = clean(" ".join(text), MAX_CHARS).strip()
    if not sentence:
        raise CommandError(EXIT_USAGE, "usage", "a note without words", fix='teal note "disk replaced on db-2"')
    return run_loop(_note(common, sentence))


async def _note(common: Common, sentence: str) -> int:
    async with opened(Session(chosen(common, order=True), panels=())) as session:
        entry = await session.orders.note(sentence)
        shown = document("note", [entry], context=session.context.name, health="ok")
        show(common, Answer(shown, lambda: [f"noted by {session.orders.identity}: {sentence}"]))
        return 0
