"""Executions of Express machines, which Step Functions does not keep: what their log group has of them.

A line of it is one event as JSON. Which events there are, the level of the machine's logging says: with ALL everything,
with ERROR and FATAL only what failed, and so no begin.
API: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from backends.aws.account import Account
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.logs.cloudwatch.events import Group, pages
from backends.pipelines.stepfunctions.wire import Definition, Execution, Machine
from backends.text import clean
from backends.together import together

WINDOW = timedelta(hours=24)
"""How far back executions are looked for."""
LONGEST = timedelta(minutes=5)
"""So long an Express execution runs at most."""
SETTLES = timedelta(minutes=1)  # between clocks, and until a line arrives
EVENTS, FAILURES, EVENTS_OF_ONE = 200, 50, 5_000
_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED", "ExecutionFailed": "FAILED", "ExecutionTimedOut": "TIMED_OUT",
    "ExecutionAborted": "ABORTED",
}  # fmt: skip
_BAD_ENDS = [kind for kind in _ENDS if kind != "ExecutionSucceeded"]


class Logged(Struct, frozen=True):
    """One line of the log group. `id` and times (milliseconds) are text."""

    id: str
    type: str
    execution_arn: str
    event_timestamp: str
    previous_event_id: str = "0"
    details: dict[str, Any] | None = None

    @property
    def at(self) -> datetime:
        """In UTC."""
        return datetime.fromtimestamp(int(self.event_timestamp) / 1000, UTC)

    def as_event(self) -> dict[str, Any]:
        """As `GetExecutionHistory` would tell it."""
        kind = self.type[:1].lower() + self.type[1:]
        for end, word in (("StateEntered", "stateEntered"), ("StateExited", "stateExited")):
            kind = word if self.type.endswith(end) else kind
        return {
            "timestamp": self.at, "type": self.type, "id": int(self.id), "previousEventId": int(self.previous_event_id),
            f"{kind}EventDetails": self.details or {},
        }  # fmt: skip


class ExpressLogs:
    """What the log groups of Express machines have."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.unread: dict[str, str] = {}

    async def executions(self, machine: Machine, definition: Definition) -> list[Execution]:
        """The newest ones of the last 24 hours, and the newest that failed; none where it logs nothing, or where we may
        not read that, which is then in `unread`. Raises BackendError."""
        group = definition.log_group
        self.unread.pop(machine.state_machine_arn, None)
        if not group:
            return []
        since, own = datetime.now(UTC) - WINDOW, f'$.execution_arn = "{machine.execution_arn("*")}"'
        bad = " || ".join(f'$.type = "{kind}"' for kind in _BAD_ENDS)
        try:
            newest, failed = await together(
                self._lines(group, f'{{ ($.type = "Execution*") && ({own}) }}', since, EVENTS),
                self._lines(group, f"{{ ({bad}) && ({own}) }}", since, FAILURES),
            )
        except BackendError as error:
            if error.kind != "auth":
                raise
            self.unread[machine.state_machine_arn] = error.message
            return []
        found = executions_of([*newest, *failed])
        # Where all is logged, one that succeeded and has no begin was cut off by the end of what was read.
        return [each for each in found if each.begin_is_known or each.state != "success" or not definition.logs_all]

    async def execution(self, machine: Machine, name: str, definition: Definition) -> Execution | None:
        """One of the last 24 hours; None where the log group has nothing of it. Raises BackendError."""
        if not definition.log_group or '"' in name:
            return None
        arn, since = machine.execution_arn(name), datetime.now(UTC) - WINDOW
        pattern = f'{{ ($.type = "Execution*") && ($.execution_arn = "{arn}") }}'
        return next(iter(executions_of(await self._lines(definition.log_group, pattern, since, EVENTS))), None)

    async def history(self, execution: Execution, definition: Definition) -> list[dict[str, Any]]:
        """Its events, oldest first, as `GetExecutionHistory` would tell them. Raises BackendError."""
        pattern = f'{{ $.execution_arn = "{execution.execution_arn}" }}'
        since, until = execution.began - LONGEST - SETTLES, execution.began + LONGEST + SETTLES
        lines = await self._lines(definition.log_group, pattern, since, EVENTS_OF_ONE, until)
        return [line.as_event() for line in sorted(lines, key=lambda line: int(line.id))]

    async def _lines(
        self, group: str, pattern: str, since: datetime, most: int, until: datetime | None = None
    ) -> list[Logged]:
        """The newest `most`, newest first; none where nothing was ever written."""
        found: list[Logged] = []
        bounds = [None if at is None else round(at.timestamp() * 1000) for at in (since, until)]
        try:
            async for page in pages(
                self._account, Group(group, pattern=pattern), *bounds, newest_first=True, size=most
            ):
                found += filter(None, (_logged(line.raw) for line in page))
                if len(found) >= most:
                    break
        except BackendError as error:
            if error.kind != "not_found":
                raise
        return found[:most]


def executions_of(lines: Iterable[Logged]) -> list[Execution]:
    """What became of each execution that lines tell of."""
    by_arn: dict[str, dict[str, Logged]] = {}
    for line in lines:
        by_arn.setdefault(line.execution_arn, {})[line.id] = line
    return [_execution(arn, sorted(of.values(), key=lambda line: int(line.id))) for arn, of in by_arn.items()]


def _execution(arn: str, lines: Sequence[Logged]) -> Execution:
    first, last = lines[0], lines[-1]
    begun = first.type == "ExecutionStarted"
    status = _ENDS.get(last.type, "RUNNING")
    stop = last.at if last.type in _ENDS else None
    if stop is None and datetime.now(UTC) - first.at > LONGEST + SETTLES:
        status, stop = "NO_END_IS_LOGGED", first.at + LONGEST
    said: Mapping[str, Any] = (last.details or {}) if last.type in _BAD_ENDS else {}
    return Execution(
        execution_arn=arn, status=status, start_date=first.at, stop_date=stop, begin_is_known=begun,
        error=clean(str(said.get("error", "")), 200), cause=clean(str(said.get("cause", "")), 300),
    )  # fmt: skip


def _logged(raw: str) -> Logged | None:
    """A line; None for what is no event."""
    try:
        found = msgspec.convert(decode_text(raw, object), Logged, strict=False)
        int(found.id), int(found.previous_event_id), int(found.event_timestamp)
    except (msgspec.MsgspecError, ValueError):
        return None
    return found
