"""Where those who are told keep what they made of an action (a message, a region), so that it is changed and not told
anew: in the audit, so that a runner that takes over, or a console that tells of an orphan, finds it, too."""

from datetime import timedelta

from actions.described import Described
from actions.ids import made_at
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.journal.patience import within
from backends.ports import ActionEvent
from backends.ports.notify import MAX_REFERENCE_CHARS
from backends.text import clean

JOURNAL_S = 5.0
CLOCKS = timedelta(hours=1)
"""The clocks of those who began an action and who tell of it differ by less; else its reference is not found."""


class References:
    """Those of the actions that one process tells of. What the journal does not take is known to this process only."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[tuple[str, str], str] = {}

    async def earlier(self, told: Described, event: ActionEvent) -> str:
        """What `told` returned for an event of the same action before, here or elsewhere; empty where nobody knows."""
        if not event.action or event.what == "started":
            return ""
        mine = _key(told)
        if (mine, event.action) not in self._known:
            began = made_at(event.action)
            self._known[mine, event.action] = ""
            asked = self._journal.audit_records(since=began - CLOCKS if began else None)
            for record in await within(JOURNAL_S, asked) or ():
                if record.action == event.action and is_reference(record) and mine in record.after:
                    self._known[mine, event.action] = str(record.after[mine])
        return self._known.get((mine, event.action), "")

    async def keep(self, told: Described, event: ActionEvent, reference: str) -> None:
        """Note `reference` where it is a new one."""
        mine, reference = _key(told), clean(reference, MAX_REFERENCE_CHARS)
        if not event.action or not reference or self._known.get((mine, event.action)) == reference:
            return
        self._known[mine, event.action] = reference
        entry = AuditEntry(
            kind="note", step="notify", action=event.action, order=event.kind, context=event.context,
            target=event.service, result=f"notify.{told.name} was told: {event.what}", after={mine: reference},
        )  # fmt: skip
        await within(JOURNAL_S, self._journal.audit(entry))


def is_reference(record: AuditEntry) -> bool:
    """Whether it only says where somebody was told, which is no news."""
    return record.kind == "note" and record.step == "notify" and bool(record.after)


def _key(told: Described) -> str:
    return f"{told.type} {told.name}"
