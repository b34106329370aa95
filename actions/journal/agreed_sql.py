"""Whether the row of an action is the one that was agreed to: the audit holds a digest of its plan.

A row may be another's to write (a member of the journal's group, a trigger); the chain can not be changed unseen. A
record of a program before 0.2 holds no digest: of its row only the columns are held against the plan. Loads SQLAlchemy.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, select

from actions.journal.audit import NOT_BELIEVED, AuditEntry, hash_of
from actions.journal.audit_sql import as_text, first_seq, head_of
from actions.journal.errors import NO_SENSE
from actions.journal.rows import Draft, digest_of_plan, plan_of
from actions.journal.tables import audit
from actions.kinds import kind_of
from backends.command_line import command
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.text import clean

_COMMAND = '%"kind":"command"%'


class _Agreed(Struct):
    """What is looked for in a record of the chain."""

    kind: str
    action: str = ""
    result: str = ""
    plan_digest: str = ""


class _Record(Struct, frozen=True):
    seq: int
    digest: str


def with_digest(draft: Draft, told: Sequence[AuditEntry]) -> list[AuditEntry]:
    """What is told of a new action, with the digest of its plan in the record of its command."""
    entries = [
        replace(each, plan_digest=draft.digest) if (each.kind, each.action) == ("command", draft.id) else each
        for each in told
    ]
    if any(each.plan_digest for each in entries):
        return entries
    plan = draft.plan
    begun = AuditEntry(
        kind="command", action=draft.id, order=plan.kind, context=plan.context, target=plan.service, actor=draft.actor,
        plan_hash=plan.hash, plan_digest=draft.digest, result="begun",
    )  # fmt: skip
    return [begun, *entries]


def must_be_agreed(connection: Connection, rows: Sequence[RowMapping], digest: str = "") -> None:
    """Raises BackendError(malformed) for the first of `rows` (of `actions`) that is not as the audit holds it, or whose
    plan is not that of `digest`."""
    if not rows:
        return
    records = _records(connection, {row["id"] for row in rows}, min(row["started_at"] or "" for row in rows))
    for row in rows:
        if problem := _problem(row, records.get(row["id"]), digest):
            raise _edited(row, problem)


def believed(connection: Connection, rows: Sequence[RowMapping]) -> list[RowMapping]:
    """`rows` without those that have ended and of which it was noted that they are not believed. Raises as
    `must_be_agreed` for any other that is not as the audit holds it."""
    try:
        must_be_agreed(connection, rows)
    except BackendError:
        noted = not_believed(connection, {row["id"] for row in rows if row["ended_at"] is not None})
        if not noted:
            raise
        kept = []
        for row in rows:
            try:
                must_be_agreed(connection, [row])
            except BackendError:
                if row["id"] not in noted:
                    raise
                continue
            kept.append(row)
        return kept
    return list(rows)


def _problem(row: RowMapping, record: _Record | None, digest: str) -> str:
    if record is None:
        return "the audit holds no whole record of its command"
    found = digest_of_plan(row["plan"])
    if record.digest not in ("", found):
        return f"its plan is not the one of audit record {record.seq}"
    if digest not in ("", found):
        return "its plan is not the one that its runner was started for"
    try:
        plan = plan_of(row)
    except NO_SENSE:
        return "its plan makes no sense"
    named = (plan.context, plan.service, plan.kind, plan.from_, plan.to, plan.hash)
    columns = tuple(row[name] for name in ("context", "service", "kind", "from_color", "to_color", "plan_hash"))
    return "" if named == columns else "its columns are not those of its plan"


def _edited(row: RowMapping, problem: str) -> BackendError:
    fix = "see who edited it: `teal audit list`"
    if kind_of(row["kind"]).moves:
        back = command("deploy rollback", row["service"], flags="-y")
        fix = f"{back} goes by the mark on the switch"
    fix += f"; then {command('action abandon', row['id'])}"
    if row["ended_at"] is not None:
        fix += " has it noted that it is not believed"
    what = f"{clean(row['kind'], 32)} {clean(row['id'], 64)}"
    return BackendError("malformed", f"the journal's row of {what} was edited: {problem}", fix=fix)


def _records(connection: Connection, wanted: set[str], since: str) -> dict[str, _Record]:
    """The record of the command that began each of `wanted`. They lie close behind `since`; where a clock was set or
    the action was added late, anywhere."""
    found = _from(connection, wanted, max(1, first_seq(connection, since)))
    return found if wanted <= found.keys() else _from(connection, wanted, 1)


def _from(connection: Connection, wanted: set[str], seq: int) -> dict[str, _Record]:
    found: dict[str, _Record] = {}

    def begins(told: _Agreed) -> bool:
        # An order to it is a command, too, and holds no digest.
        return told.kind == "command" and told.result != "queued" and told.action in wanted - found.keys()

    for place, told in _whole(connection, _COMMAND, seq, begins):
        found[told.action] = _Record(place, told.plan_digest)
        if found.keys() == wanted:
            break
    return found


def not_believed(connection: Connection, wanted: set[str]) -> set[str]:
    """Those of `wanted` of which an operator had it noted that their rows are not believed."""

    def noted(told: _Agreed) -> bool:
        return told.kind == "note" and told.result == NOT_BELIEVED and told.action in wanted

    return {told.action for _, told in _whole(connection, f'%"result":"{NOT_BELIEVED}"%', 1, noted)}


def _whole(
    connection: Connection, like: str, seq: int, wanted: Callable[[_Agreed], bool]
) -> Iterator[tuple[int, _Agreed]]:
    """The places and records from `seq` on that are `wanted`, and stand in the chain as they were written."""
    before, after = audit.alias("before"), audit.alias("after")
    whole = audit.outerjoin(before, before.c.seq == audit.c.seq - 1).outerjoin(after, after.c.seq == audit.c.seq + 1)
    query = select(audit, before.c.hash.label("hash_before"), after.c.prev_hash.label("followed")).select_from(whole)
    query = query.where(audit.c.seq >= seq, audit.c.text.like(like)).order_by(audit.c.seq)
    head = head_of(connection)
    for row in connection.execute(query):
        text, prev_hash, hash_ = as_text(row.text), as_text(row.prev_hash), as_text(row.hash)
        try:
            told = decode_text(text, _Agreed)
        except msgspec.DecodeError:
            continue
        if not wanted(told):
            continue
        followed = row.followed if row.followed is not None else head[1] if head[0] == row.seq else None
        chained = prev_hash == (row.hash_before or "") and followed == hash_
        if chained and hash_of(prev_hash, text) == hash_:
            yield row.seq, told
