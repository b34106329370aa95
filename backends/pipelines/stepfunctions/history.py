"""The history of an execution as states with their times, as lines, and as the state that failed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from backends.aws.account import Account
from backends.aws.wire import told
from backends.identifiers import identifier
from backends.models import LogEntry, RunState, TaskRun
from backends.pipelines.stepfunctions.wire import Event, HistoryPage, failure_words
from backends.text import clean

PAGE = 1000
MAX_PAGES = 26  # a history ends at 25,000 events
LOOKED_BACK = 100


async def history_of(account: Account, execution_arn: str) -> list[dict[str, Any]]:
    """All events, oldest first, without data. Raises BackendError."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        page = await _page(account, execution_arn, maxResults=PAGE, **token)
        found += page.events
        if not page.next_token:
            break
        token = {"nextToken": page.next_token}
    return found


async def failing_state(account: Account, execution_arn: str) -> str:
    """`state: what it said`, read backwards from the end; empty where the last events do not say. Raises
    BackendError."""
    page = await _page(account, execution_arn, maxResults=LOOKED_BACK, reverseOrder=True)
    return failing_state_of(page.events, account.where)


def failing_state_of(newest_first: Sequence[dict[str, Any]], where: str) -> str:
    """The same of events that were read."""
    raw = {int(event["id"]): event for event in newest_first}
    events = {number: told(event, Event, where) for number, event in raw.items()}
    failures = [event for event in events.values() if event.is_failure]
    words = next((said for event in failures if (said := failure_words(raw[event.id]))), "")
    name = next((found for event in failures if (found := _state_of(event, events))), "")
    return clean(f"{identifier(name)}: {words}" if name else words, 300)


async def _page(account: Account, execution_arn: str, **asked: Any) -> HistoryPage:
    answer = await account.read(
        "stepfunctions", "get_execution_history", executionArn=execution_arn, includeExecutionData=False, **asked
    )
    return told(answer, HistoryPage, account.where)


def _state_of(event: Event, events: Mapping[int, Event]) -> str:
    """The state in which an event happened, by the chain of what came before it."""
    for _ in range(len(events)):
        if event.state_entered_event_details is not None:
            return event.state_entered_event_details.name
        before = events.get(event.previous_event_id)
        if before is None or (before.state_exited_event_details is not None):
            return ""
        event = before
    return ""


class _Visit(Struct):
    entered: datetime
    count: int = 0
    exited: datetime | None = None


def tasks_of(
    events: Sequence[dict[str, Any]], before: Mapping[str, tuple[str, ...]], ends_as: RunState, ended: datetime | None,
    error: str, where: str,
) -> list[TaskRun]:  # fmt: skip
    """States in the order in which they were entered first. What was not left has the state of the execution."""
    visits: dict[str, _Visit] = {}
    for event in (told(raw, Event, where) for raw in events):
        if event.state_entered_event_details is not None:
            visit = visits.setdefault(event.state_entered_event_details.name, _Visit(event.at))
            visit.entered, visit.exited, visit.count = event.at, None, visit.count + 1
        elif event.state_exited_event_details is not None:
            exited = visits.get(event.state_exited_event_details.name)
            if exited is not None:
                exited.exited = event.at
    open_as: RunState = ends_as if ends_as in ("failed", "cancelled", "running") else "unknown"
    found = []
    for name, visit in visits.items():
        left = visit.exited or ended
        failed = visit.exited is None and open_as == "failed"
        found.append(
            TaskRun(
                task=identifier(name),
                state="success" if visit.exited is not None else open_as,
                try_number=visit.count,
                started_at=visit.entered,
                ended_at=left,
                duration_s=max(0.0, (left - visit.entered).total_seconds()) if left else None,
                depends_on=tuple(identifier(each) for each in before.get(name, ()) if each in visits),
                error=error.removeprefix(f"{identifier(name)}: ") if failed and error else None,
            )
        )
    return found


def lines_of(events: Sequence[dict[str, Any]], source: str, where: str, task: str | None) -> list[LogEntry]:
    """One line an event, of one state or of all."""
    known = {event.id: event for event in (told(raw, Event, where) for raw in events)}
    found = []
    for raw in events:
        event = known[int(raw["id"])]
        state = _name_of(event, known)
        if task is not None and identifier(state) != task:
            continue
        words = ": ".join(filter(None, (event.type, failure_words(raw))))
        ns = str(round(event.timestamp.timestamp() * 1_000_000) * 1000)
        found.append(
            LogEntry(
                at=event.at, at_ns=ns, source=identifier(state) or source,
                level="error" if event.is_failure else "info", message=clean(words), labels={"event": str(event.id)},
            )
        )  # fmt: skip
    return found


def _name_of(event: Event, events: Mapping[int, Event]) -> str:
    if event.state_exited_event_details is not None:
        return event.state_exited_event_details.name
    return _state_of(event, events)
