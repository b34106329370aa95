"""Tells those whom a config names what becomes of an action, beside it: nothing here fails or delays the action.

Each is told at most once, in order, in at most `NOTIFY_S` for one event; who says that it is limited is waited for, and
asked once more. Who could not be told is said in the audit.
"""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from actions.described import Described
from actions.ids import now
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.journal.patience import within
from actions.models import Action, ActionError, ActionStatus
from actions.references import References
from actions.targets import Build
from actions.telling import cause, title, way
from backends.errors import BackendError
from backends.notify.delivery import deliver
from backends.ports import ActionEvent, EventKind, following
from backends.text import clean

NOTIFY_S = 5.0

_OUTCOME: dict[ActionStatus, EventKind] = {
    "succeeded": "succeeded", "rolled_back": "rolled_back", "rollback_failed": "rollback_failed",
    "aborted": "failed", "abandoned": "failed", "conflict": "failed", "in_doubt": "failed",
}  # fmt: skip


class Notices:
    """`async with` around the run of one action; what is told is on its way at once, and waited for at the end."""

    def __init__(self, journal: Journal, context: str, notify: Sequence[Described], build: Build) -> None:
        self._journal = journal
        self._context, self._notify = context, notify
        self._build = build
        self._references = References(journal)
        self._lines: list[asyncio.Queue[ActionEvent | None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for told in self._notify:
            line: asyncio.Queue[ActionEvent | None] = asyncio.Queue()
            self._lines.append(line)
            self._tasks.append(asyncio.create_task(self._deliver(told, line), name="notify"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._put(None)
        if isinstance(error, asyncio.CancelledError):
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def started(self, action: Action) -> None:
        """The action begins."""
        self._put(event_of("started", self._context, action))

    def tell(self, event: ActionEvent) -> None:
        """What is of no action."""
        self._put(event)

    def held(self, action: Action, why: str) -> None:
        """The action stands, and nobody ordered it to."""
        error = ActionError(kind="held", message=why.removeprefix("held: "))
        self._put(event_of("held", self._context, replace(action, error=error)))

    def ended(self, action: Action) -> None:
        """The action has ended, or stopped where a person must look; other open states are nobody's news."""
        what = _OUTCOME.get(action.status)
        if what is not None:
            self._put(event_of(what, self._context, action))

    def _put(self, event: ActionEvent | None) -> None:
        for line in self._lines:
            line.put_nowait(event)

    async def _deliver(self, told: Described, line: asyncio.Queue[ActionEvent | None]) -> None:
        while (event := await line.get()) is not None:
            try:
                await self._tell(told, event)
            except TimeoutError:
                await self._missed(told, event, f"no answer in {NOTIFY_S:g} s")
            except BackendError as error:
                await self._missed(told, event, error.message)
            except Exception as error:  # of an adapter that is not ours: its words may hold a secret
                await self._missed(told, event, type(error).__name__)

    async def _tell(self, told: Described, event: ActionEvent) -> None:
        notifier = await self._build(told)
        try:
            earlier = await self._references.earlier(told, event) if following(notifier) else ""
            anchored = await self._anchored(event)
            reference = await deliver(notifier, anchored, timeout_s=NOTIFY_S, earlier=earlier)
            await self._references.keep(told, event, reference)
        finally:
            await notifier.aclose()

    async def _anchored(self, event: ActionEvent) -> ActionEvent:
        """With the head of the audit, which is then kept where nobody can change it who can change the journal."""
        head = await within(NOTIFY_S, self._journal.audit_head())
        if head is None or not head.seq:
            return event
        return replace(event, head=str(head), text=f"{event.text} (audit {head.short})")

    async def _missed(self, told: Described, event: ActionEvent, why: str) -> None:
        entry = AuditEntry(
            kind="note", step="notify", action=event.action, order=event.kind, context=event.context,
            target=event.service, result=f"notify.{told.name} was not told: {event.what}", detail=why,
        )  # fmt: skip
        await within(NOTIFY_S, self._journal.audit(entry))


def event_of(what: EventKind, context: str, action: Action) -> ActionEvent:
    """What is told of `action`, every string cleaned."""
    by = clean(str(action.actor), 200) if action.actor else ""
    done = clean(title(action), 300) + clean(way(action, capitals=False), 160)
    words = f"{context}: {done} {what.replace('_', ' ')}"
    if what == "started":
        words += f" by {by}" if by else ""
        words += f": {clean(action.reason, 500)}" if action.reason else ""
    elif action.error is not None:
        words += f" {clean(cause(action), 200)}" if cause(action) and action.error.kind != "ordered" else ""
        words += f": {clean(action.error.message, 1000)}"
    return ActionEvent(
        what=what, context=context, kind=action.kind, service=clean(action.service, 200),
        from_=clean(action.from_, 64), to=clean(action.to, 64), by=by, reason=clean(action.reason),
        action=action.id or "", at=now(), text=words, version=clean(action.version, 200),
    )  # fmt: skip
