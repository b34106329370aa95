"""Which journal a context has."""

from collections.abc import Mapping

from actions.journal.location import JournalLocation, journal_location, place_problem
from backends.errors import BackendError
from backends.settings import refuse_password_in_url, reveal
from console.config.load import Context


async def journal_of(context: Context, env: Mapping[str, str]) -> JournalLocation:
    """Raises BackendError where the reference to it leads nowhere, or what is written is no place for a journal."""
    configured = context.config.journal
    if isinstance(configured, str) and (problem := written_problem(configured)):
        raise BackendError("config", f"journal: {problem[0]}", fix=problem[1])
    return journal_location(await reveal(configured, context.base_dir) if configured else None, env, context.base_dir)


def written_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a `journal` that is written in the config itself, and what to do."""
    try:
        refuse_password_in_url(text)
    except ValueError as error:
        message, _, fix = str(error).partition(": ")
        return message, fix
    return place_problem(text)
