"""State machines, executions and their histories as Step Functions tells them, only the fields that are read.

API: https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from backends.json_text import decode_text
from backends.models import RunState
from backends.models.pipelines import run_states

STATES: dict[str, RunState] = {
    "running": "running", "succeeded": "success", "failed": "failed", "timed_out": "failed", "aborted": "cancelled",
    "pending_redrive": "waiting",
}  # fmt: skip
OPEN = ("running", "waiting")


class Machine(Struct, frozen=True, rename="camel"):
    """A state machine."""

    state_machine_arn: str
    name: str
    type: str = "STANDARD"

    @property
    def is_express(self) -> bool:
        """Whether only its log group has its executions."""
        return self.type == "EXPRESS"

    def execution_arn(self, name: str) -> str:
        """Of the execution of that name; of an Express one that is `name:id`."""
        kind = "express" if self.is_express else "execution"
        return f"{self.state_machine_arn.replace(':stateMachine:', f':{kind}:', 1)}:{name}"


class MachinesPage(Struct, frozen=True, rename="camel"):
    """One page of `ListStateMachines`."""

    state_machines: tuple[Machine, ...]
    next_token: str = ""


class _LogGroup(Struct, frozen=True, rename="camel"):
    log_group_arn: str = ""


class _Destination(Struct, frozen=True, rename="camel"):
    cloud_watch_logs_log_group: _LogGroup = _LogGroup()


class _Logging(Struct, frozen=True, rename="camel"):
    level: str = "OFF"
    destinations: tuple[_Destination, ...] = ()


class Definition(Struct, frozen=True, rename="camel"):
    """The answer of `DescribeStateMachine`."""

    definition: str
    logging_configuration: _Logging = _Logging()

    @property
    def log_group(self) -> str:
        """Its ARN; empty where nothing is logged."""
        logging = self.logging_configuration
        arns = (each.cloud_watch_logs_log_group.log_group_arn for each in logging.destinations)
        return "" if logging.level == "OFF" else next(filter(None, arns), "")

    @property
    def logs_all(self) -> bool:
        """Whether it is more than what failed."""
        return self.logging_configuration.level == "ALL"

    def before(self) -> dict[str, tuple[str, ...]]:
        """The states that lead to each state, also those inside of branches and maps."""
        try:
            whole = decode_text(self.definition, object)
        except msgspec.DecodeError:
            return {}
        found: dict[str, list[str]] = {}
        for name, state in _states(whole):
            found.setdefault(name, [])
            for following in _following(state):
                found.setdefault(following, []).append(name)
        return {name: tuple(dict.fromkeys(each)) for name, each in found.items()}


class Execution(Struct, frozen=True, rename="camel"):
    """One execution, of a list or described; `input` only where it was asked for."""

    execution_arn: str
    status: str
    start_date: datetime
    name: str = ""
    stop_date: datetime | None = None
    redrive_count: int = 0
    redrive_date: datetime | None = None
    redrive_status: str = ""
    redrive_status_reason: str = ""
    input: str | None = None
    error: str = ""
    cause: str = ""
    begin_is_known: bool = True

    @property
    def run_id(self) -> str:
        """Its name; of an Express one with the id behind it."""
        return self.name or ":".join(self.execution_arn.split(":")[7:])

    @property
    def is_express(self) -> bool:
        """Whether only a log group has it."""
        return self.execution_arn.split(":")[5:6] == ["express"]

    @property
    def state(self) -> RunState:
        """`unknown` for a word that Step Functions added."""
        return run_states(STATES, self.status)

    @property
    def began(self) -> datetime:
        """In UTC."""
        return self.start_date.astimezone(UTC)

    @property
    def ended(self) -> datetime | None:
        """None while it is open."""
        return self.stop_date.astimezone(UTC) if self.stop_date and self.state not in OPEN else None

    @property
    def is_open(self) -> bool:
        """Whether it goes on; so may one in a state that is not known."""
        return self.ended is None

    @property
    def lasted_s(self) -> float | None:
        """From its begin to its end; None while it is open, and where its begin is not known."""
        ended = self.ended
        return None if ended is None or not self.begin_is_known else max(0.0, (ended - self.began).total_seconds())

    def has_input(self, wanted: Mapping[str, Any]) -> bool:
        """Whether it was started with that input."""
        try:
            return bool(decode_text(self.input or "{}", object) == wanted)
        except msgspec.DecodeError:
            return False


class ExecutionsPage(Struct, frozen=True, rename="camel"):
    """One page of `ListExecutions`."""

    executions: tuple[Execution, ...]
    next_token: str = ""


class _Named(Struct, frozen=True):
    name: str


class Event(Struct, frozen=True, rename="camel"):
    """One event of a history, without its data; `details` of a failure are the one key that ends so."""

    timestamp: datetime
    type: str
    id: int
    previous_event_id: int = 0
    state_entered_event_details: _Named | None = None
    state_exited_event_details: _Named | None = None

    @property
    def at(self) -> datetime:
        """In UTC."""
        return self.timestamp.astimezone(UTC)

    @property
    def is_failure(self) -> bool:
        """Whether something failed or ran out of time."""
        return self.type.endswith(("Failed", "TimedOut"))


class HistoryPage(Struct, frozen=True, rename="camel"):
    """One page of `GetExecutionHistory`; the events as they came, since each type has its own details."""

    events: tuple[dict[str, Any], ...]
    next_token: str = ""


def failure_words(event: Mapping[str, Any]) -> str:
    """What an event of a failure says: `States.TaskFailed: no such table`."""
    for key, details in event.items():
        if key.endswith("EventDetails") and isinstance(details, dict):
            return ": ".join(str(details[name]) for name in ("error", "cause") if details.get(name))
    return ""


def _states(whole: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All states of a definition, at any depth."""
    if not isinstance(whole, dict) or not isinstance(whole.get("States"), dict):
        return
    for name, state in whole["States"].items():
        if not isinstance(state, dict):
            continue
        yield str(name), state
        for inner in (*(state.get("Branches") or ()), state.get("Iterator"), state.get("ItemProcessor")):
            yield from _states(inner)


def _following(state: Mapping[str, Any]) -> Iterator[str]:
    """Where a state leads: next, by choice, by a catch, into its branches."""
    for where in (state, *(state.get("Choices") or ()), *(state.get("Catch") or ())):
        if isinstance(where, dict) and isinstance(where.get("Next"), str):
            yield where["Next"]
    if isinstance(state.get("Default"), str):
        yield state["Default"]
    for inner in (*(state.get("Branches") or ()), state.get("Iterator"), state.get("ItemProcessor")):
        if isinstance(inner, dict) and isinstance(inner.get("StartAt"), str):
            yield inner["StartAt"]
