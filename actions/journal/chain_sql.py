"""The audit of one database: the chain of records, each of which names the one before. Everything here blocks."""

from collections.abc import Sequence
from datetime import datetime

from actions.journal.audit import AuditEntry, AuditRecord, AuditVerdict, Head, export_line, record, verify
from actions.journal.audit_sql import append, append_once, head_of, links, links_of
from actions.journal.schema import BESIDE_WAITS_S, Database


class SqlChain:
    """What is appended to it by itself, and how it is read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """Append what changed nothing else: a refusal, a note."""
        with self._database.writing() as connection:
            append(connection, entries)

    def note_once(self, entry: AuditEntry, since: datetime) -> bool:
        """Append it unless it is there since; whether it did."""
        with self._database.writing(BESIDE_WAITS_S) as connection:
            return append_once(connection, entry, since)

    def records(self, since: datetime | None) -> list[AuditRecord]:
        """All, oldest first."""
        with self._database.reading() as connection:
            return [record(found) for found in links(connection, since)]

    def lines(self) -> list[str]:
        """All for another program: one JSON object a line, the hashed text in it."""
        with self._database.reading() as connection:
            return [export_line(found) for found in links(connection)]

    def lines_of(self, action_id: str) -> list[str]:
        """What it says of an action, as `lines`."""
        with self._database.reading() as connection:
            return [export_line(found) for found in links_of(connection, action_id)]

    def verify(self, known: Head | None) -> AuditVerdict:
        """Walk it."""
        with self._database.reading() as connection:
            return verify(links(connection), head_of(connection), known)

    def head(self) -> Head:
        """The newest record."""
        with self._database.reading() as connection:
            return Head(*head_of(connection))
