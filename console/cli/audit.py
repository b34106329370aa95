"""`teal audit`: who did what, in a chain that shows when a link was changed."""

import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo

import click

from actions.audit import AuditRecord
from backends.models import Health
from console.cli.options import Common, common_options
from console.cli.reading import chosen, read
from console.cli.showing import Answer, show
from console.loop import run as run_loop
from console.output import document, plain, table
from console.session import Session, opened


@click.group()
def audit() -> None:
    """The audit."""


@audit.command("list")
@common_options()
def list_(common: Common) -> int:
    """Audit records, newest last."""

    async def answer(session: Session) -> Answer:
        records = await session.orders.audit_records()
        limit = 50 if common.limit is None else common.limit
        found = document("audit.list", records, context=session.context.name, limit=limit, health="ok", from_end=True)
        return Answer(found, lambda: _table(found.items, session.context.zone))

    return read(common, (), answer)


@audit.command()
@common_options()
def verify(common: Common) -> int:
    """Walk the hash chain; exit 1 and the first broken record where it does not hold."""
    return run_loop(_verify(common))


async def _verify(common: Common) -> int:
    async with opened(Session(chosen(common), panels=())) as session:
        verdict = await session.orders.verify_audit()
        health: Health = "ok" if verdict.intact else "critical"
        shown = document("audit.verify", [verdict], context=session.context.name, health=health)
        broken = f"broken at record {verdict.broken_at}: {verdict.detail}"
        words = f"{verdict.records} records, {'the chain holds' if verdict.intact else broken}"
        show(common, Answer(shown, lambda: [words]))
        return 0 if verdict.intact else 1


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
        at = datetime.fromisoformat(record.at).astimezone(zone) if record.at else None
        data = plain(record) | {"at": f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else ""}
        names = ("seq", "at", "kind", "action", "target", "result", "detail")
        rows.append([str(data.get(name, "")) for name in names])
    return table(rows, headers=["SEQ", "AT", "KIND", "ACTION", "TARGET", "RESULT", "DETAIL"])
