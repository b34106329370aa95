"""`teal doctor`: what of a context works, seen from this host: each backend, the journal, the state, the config."""

from collections.abc import Sequence

import click

from backends.models import worst
from console.cli.options import Common, common_options
from console.cli.reading import READ_TIMEOUT_S, say_sandbox
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeCommand
from console.config.lint import lint
from console.config.selection import select
from console.loop import run as run_loop
from console.printing.diagnosis import Diagnosis, diagnose
from console.printing.output import document, reading_exit_code, table, worst_first
from panels.words import NOTHING, UNICODE, amount

HEADERS = ("STATE", "WHAT", "NAME", "TYPE", "REACHED", "AUTHORIZED", "MAY", "MS", "SKEW S", "DETAIL")
RIGHT = (False, False, False, False, False, False, False, True, True)
AS = "AWS AS"
"""Only where something reaches AWS: the detail stays last."""


@click.command(cls=WholeCommand)
@common_options()
def doctor(common: Common) -> int:
    """Test what works, worst first: each entry, journal, state directory, config. Exit 7 if none answers."""
    selection = select(common.config, common.context)
    say_sandbox(selection)
    seen = lint([selection.context], selection.problems)
    snapshots, found = run_loop(diagnose(selection, seen, deadline_s=common.timeout_s or READ_TIMEOUT_S))
    shown = document(
        "doctor",
        worst_first(found),
        context=selection.context.name,
        snapshots=snapshots,
        limit=common.limit,
        health=worst([each.health for each in found]),
    )
    show(common, Answer(shown, lambda: _table(shown.items)))
    return reading_exit_code(shown, strict=common.strict)


def _table(found: Sequence[Diagnosis]) -> list[str]:
    aws = any(each.region or each.identity for each in found)

    def row(each: Diagnosis) -> list[str]:
        state = f"{UNICODE.of(each.health)} {each.health}"
        numbers = (amount(each.latency_ms), amount(each.clock_skew_s, digits=1))
        known = (_word(each.reachable), _word(each.authorized), ", ".join(each.may))
        detail = f"{each.detail} ({each.fix})" if each.fix else each.detail
        who = [_who(each)] if aws else []
        return [state, each.subject, each.name, each.type, *known, *numbers, *who, detail]

    headers = (*HEADERS[:-1], AS, HEADERS[-1]) if aws else HEADERS
    return table([row(each) for each in found], headers=headers, right=RIGHT)


def _who(found: Diagnosis) -> str:
    """Account, region and the name in the ARN, whose begin says the account again."""
    return " ".join(filter(None, (found.account, found.region, found.identity.rpartition(":")[2]))) or NOTHING


def _word(known: bool | None) -> str:
    return {True: "yes", False: "no", None: NOTHING}[known]
