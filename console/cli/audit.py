"""`teal audit`: who did what, in a chain that shows when a link was changed."""

import sys
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import click

from actions.journal.audit import AuditRecord, AuditVerdict, Head
from backends.models import Health
from backends.text import counted
from backends.times import parse_time
from console.cli.options import Common, common_options
from console.cli.reading import chosen, read
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeHelp
from console.loop import run as run_loop
from console.printing.output import document, plain, table
from console.session import Session, opened


@click.group(cls=WholeHelp)
def audit() -> None:
    """The audit."""


@audit.command("list")
@common_options()
def list_(common: Common) -> int:
    """Audit records, newest last in the chain. One that came into it late says when it was done, and when it came."""

    async def answer(session: Session) -> Answer:
        records = await session.orders.audit_records()
        limit = 50 if common.limit is None else common.limit
        found = document("audit.list", records, context=session.context.name, limit=limit, health="ok", from_end=True)
        return Answer(found, lambda: _table(found.items, session.context.zone))

    return read(common, (), answer)


class HeadType(click.ParamType[Head]):
    """`SEQ:HASH`."""

    name = "head"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        """Raises click's usage error for anything else."""
        try:
            return Head.parse(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)


@audit.command()
@common_options()
@click.option(
    "--head", "known", type=HeadType(), metavar="SEQ:HASH",
    help="A record that the chain must have: from a notice, a report or an earlier verify.",
)  # fmt: skip
def verify(common: Common, known: Head | None) -> int:
    """Walk the hash chain; exit 1 and the first broken record where it does not hold.

    Without --head nobody can tell that the end was cut off, or that all was written anew.
    """
    return run_loop(_verify(common, known))


async def _verify(common: Common, known: Head | None) -> int:
    async with opened(Session(chosen(common), panels=())) as session:
        verdict = await session.orders.verify_audit(known)
        health: Health = "ok" if verdict.intact else "critical"
        shown = document("audit.verify", [verdict], context=session.context.name, health=health)
        show(common, Answer(shown, lambda: verdict_lines(verdict, known)))
        return 0 if verdict.intact else 1


def verdict_lines(verdict: AuditVerdict, known: Head | None) -> list[str]:
    """What a walk of the chain found, in words."""
    count = counted(verdict.records, "record")
    if verdict.intact and known is not None:
        return [f"{count}, the chain holds, and has record {known.seq} as it was", f"head {verdict.head}"]
    if verdict.intact:
        fix = "--head SEQ:HASH of a notice or a report does"
        return [
            f"{count}, the chain holds; that none is missing at its end is not proven ({fix})",
            f"head {verdict.head}",
        ]
    where = "" if verdict.broken_at is None else f"broken at record {verdict.broken_at}: "
    return [f"{count}, {where}{verdict.detail}"]


@audit.command()
@common_options(("jsonl", "json"))
def export(common: Common) -> int:
    """Every record as it was hashed, one JSON object a line."""
    return run_loop(_export(common))


async def _export(common: Common) -> int:
    async with opened(Session(chosen(common), panels=())) as session:
        if common.output == "json":
            records = await session.orders.audit_records()
            show(common, Answer(document("audit.export", records, context=session.context.name, health="ok"), list))
        else:
            sys.stdout.write("".join(f"{line}\n" for line in await session.orders.audit_lines()))
        return 0


def _table(records: Sequence[AuditRecord], zone: tzinfo) -> list[str]:
    rows = []
    for record in records:
        data = plain(record) | {"at": at_words(record, zone), "by": record.actor or ""}
        names = ("seq", "at", "by", "kind", "action", "target", "result", "detail")
        rows.append([str(data.get(name, "")) for name in names])
    return table(rows, headers=["SEQ", "AT", "BY", "KIND", "ACTION", "TARGET", "RESULT", "DETAIL"])


def at_words(record: AuditRecord, zone: tzinfo) -> str:
    """When it was done; of what was done without the journal, also when it came into the chain."""
    at = record.done_at
    if at is None:
        return ""
    words = f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
    if not record.late:
        return words
    came_at = parse_time(record.at)
    return (
        f"{words}, late" if came_at is None else f"{words}, late: written {came_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    )
