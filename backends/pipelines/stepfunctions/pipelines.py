"""AWS Step Functions: executions of state machines, their states as tasks, the state that failed, and orders to them.

```toml
[[contexts.production.pipelines]]
type = "step-functions"
state_machines = ["orders-*", "arn:aws:states:eu-central-1:123456789012:stateMachine:daily"]   # globs of names, or ARNs
aws = { region = "eu-central-1" }
```
An execution is started under the id that it has here as its name, which makes a start idempotent for 90 days. Its
history is read without data. Express machines keep no executions: their rows are what their log group has of the last
24 hours, and with a level of logging below ALL only what failed. A pause is of the EventBridge rules that start a
machine; schedules of the Scheduler are not seen.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.web_console import console_of
from backends.aws.witness import Look
from backends.errors import BackendError
from backends.identifiers import as_sent, identifier
from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.pipelines.following import follow_by_reading
from backends.pipelines.groups import Group, aged, newest, noted, shown
from backends.pipelines.stepfunctions.express import WINDOW
from backends.pipelines.stepfunctions.history import failing_state, failing_state_of, lines_of, tasks_of
from backends.pipelines.stepfunctions.orders import StepFunctionsOrders
from backends.pipelines.stepfunctions.reading import Reading
from backends.pipelines.stepfunctions.wire import Execution, Machine
from backends.pipelines.turns import SIDE_BY_SIDE
from backends.ports import Approval, PipelineInfo, RunInputs
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.together import few_at_a_time, together

FOLLOW_S = 2.0
FAILURES = 5
"""Of so many newest failures the state is named."""


class StepFunctionsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which state machines of an account and region.

    state_machines: globs of their names, or ARNs.
    aws: how AWS is reached.
    timeout: of one request.
    """

    state_machines: tuple[str, ...] = ("*",)
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if not self.state_machines or not all(self.state_machines):
            raise ValueError("state_machines: one or more, none of them empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class StepFunctionsPipelines:
    """`Pipelines` of the state machines of one account and region."""

    api = 1
    Config = StepFunctionsConfig

    def __init__(self, config: StepFunctionsConfig, context: AdapterContext) -> None:
        self._name = context.name
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout)
        self._reading = Reading(self._account, config.state_machines)
        self._orders = StepFunctionsOrders(self._account, self._reading)
        self._errors: dict[tuple[str, int], str] = {}

    # ---- reading

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """The newest `limit` executions, of the newest 100 of each machine; always what is open, and the last of each.
        What was started from here is there before a list of AWS has it. The oldest one of an Express machine says
        that nothing older is seen, where that was asked for."""
        known = dict(await self._reading.read())  # as it is now: some of it may be read anew meanwhile
        wanted = newest(known, since=since, limit=limit)
        failed = [each for each in wanted if each[1].state == "failed"][:FAILURES]
        await together(*(self._error(machine, execution) for machine, execution in failed))
        ages = {machine: self._reading.turns.age_s(machine) for machine in known}
        cut = since is not None and since < datetime.now(UTC) - WINDOW
        oldest = {machine: execution for machine, execution in wanted if cut and machine.is_express}

        def made(machine: Machine, execution: Execution) -> PipelineRun:
            make = partial(self._model, machine, group=known[machine])
            run = aged(known[machine].shown(execution, make, self._said(execution)), ages[machine])
            return (
                noted(run, "Express: what is older than 24 h is not seen") if execution is oldest.get(machine) else run
            )

        return await shown(wanted, made)

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One execution now; queued where it was started a moment ago and AWS does not show it yet. Raises
        `not_found`."""
        machine = await self._reading.machine(as_sent(pipeline))
        execution = await self._reading.execution(machine, as_sent(run_id))
        await self._error(machine, execution)
        return self._model(machine, execution, group=await self._reading.fresh(machine))

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        """Of the newest executions of the machine those that succeeded and began before that one. Raises
        `not_found`."""
        machine = await self._reading.machine(as_sent(pipeline))
        execution, group = await together(
            self._reading.execution(machine, as_sent(run_id)), self._reading.fresh(machine)
        )
        good = [each for each in group.runs if each.state == "success" and each.began < execution.began]
        return [self._model(machine, each, group=group) for each in good[:limit]]

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        """Nothing: its input is data, which is not read, and its version is not kept here. Raises `not_found`."""
        await self._reading.execution(await self._reading.machine(as_sent(pipeline)), as_sent(run_id))
        return RunInputs()

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The states that were entered, in their order; `depends_on` by the machine's definition as it is now."""
        machine = await self._reading.machine(as_sent(pipeline))
        execution = await self._reading.execution(machine, as_sent(run_id))
        events, definition = await together(
            self._reading.history(machine, execution), self._reading.definition(machine)
        )
        error = await self._error(machine, execution)
        return tasks_of(events, definition.before(), execution.state, execution.ended, error, self._account.where)

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The events of its history, a line each, without data; what tasks write themselves is where they run."""
        machine = await self._reading.machine(as_sent(pipeline))
        execution = await self._reading.execution(machine, as_sent(run_id))
        events = await self._reading.history(machine, execution)
        found = lines_of(events, identifier(machine.name), self._account.where, task)
        if task is not None and not found:
            raise BackendError("not_found", clean(f"run {run_id} of {pipeline} has not entered a state {task}"))
        return found

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """As the port says."""

        async def ended() -> bool:
            machine = await self._reading.machine(as_sent(pipeline))
            return not (await self._reading.execution(machine, as_sent(run_id))).is_open

        return follow_by_reading(lambda: self.task_log(pipeline, run_id, task), ended, FOLLOW_S)

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """Redrives, of the executions that were read; who started and stopped what, only CloudTrail knows."""
        known = await self._reading.read_once()
        found = [
            TimelineEvent(
                at=execution.redrive_date.astimezone(UTC), kind="redrive",
                ref=f"{self._name}/{identifier(machine.name)}/{identifier(execution.run_id)}",
                text=clean(f"{machine.name} {execution.run_id} redriven ({execution.redrive_count})", 300),
            )
            for machine, group in known.items()
            for execution in group.runs
            if execution.redrive_date is not None
        ]  # fmt: skip
        return sorted((event for event in found if since <= event.at <= until), key=lambda event: (event.at, event.ref))

    async def pipelines(self) -> list[PipelineInfo]:
        """All machines, with the rules that start them."""
        machines = await self._reading.machines()
        return await few_at_a_time(SIDE_BY_SIDE, (partial(self._info, machine) for machine in machines))

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        """One machine, which declares no params: they are its input, as one JSON object. Raises `not_found`."""
        return await self._info(await self._reading.machine(as_sent(pipeline)))

    # ---- orders

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """Start an execution of that name; `params` are its input. Raises `config` for an id that is no name."""
        await self._orders.start(await self._reading.machine(as_sent(pipeline)), run_id, params)

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """The states that failed or were stopped; those behind them follow. Raises `conflict` where AWS redrives it
        not, as one that is older than 14 days."""
        machine = await self._reading.machine(as_sent(pipeline))
        execution = await self._orders.redrivable(machine, as_sent(run_id))
        if execution.state == "success":
            return []
        return [task.task for task in await self.tasks(pipeline, run_id) if task.state != "success"]

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Redrive the execution from what failed; what succeeded stays. Raises `conflict` where AWS redrives it not."""
        await self._orders.redrive(await self._reading.machine(as_sent(pipeline)), as_sent(run_id))

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Stop the execution; what its tasks have started elsewhere may go on."""
        await self._orders.stop(await self._reading.machine(as_sent(pipeline)), as_sent(run_id))

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Disable or enable the EventBridge rules that start the machine. Raises `config` where there is none."""
        await self._orders.set_paused(await self._reading.machine(as_sent(pipeline)), paused)

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """None: a task that waits for a token is not told apart here. Raises `not_found`."""
        await self._reading.execution(await self._reading.machine(as_sent(pipeline)), as_sent(run_id))
        return []

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Raises `not_found`, else `conflict`: nothing waits."""
        await self.approvals(pipeline, run_id)
        raise BackendError("conflict", clean(f"nothing in run {run_id} of {pipeline} waits for an approval"))

    def looks(self) -> list[Look]:
        """What is asked for the states of an execution and for what starts a machine: of the first of each."""
        arns = [machine.state_machine_arn for machine in self._reading.known_machines()]
        executions = [
            each.execution_arn
            for machine, group in self._reading.known.items()
            if not machine.is_express
            for each in group.runs
        ]
        return [
            *(Look("stepfunctions", "describe_state_machine", {"stateMachineArn": arn}) for arn in arns[:1]),
            *(Look("events", "list_rule_names_by_target", {"TargetArn": arn, "Limit": 1}) for arn in arns[:1]),
            *(Look("stepfunctions", "describe_execution", {"executionArn": arn}) for arn in executions[:1]),
            *(
                Look("stepfunctions", "get_execution_history", {"executionArn": arn, "maxResults": 1})
                for arn in executions[:1]
            ),
        ]

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    # ---- inside

    async def _info(self, machine: Machine) -> PipelineInfo:
        note = await self._express_note(machine) if machine.is_express else ""
        try:
            rules = await self._reading.rules(machine)
        except BackendError as error:
            if error.kind != "auth":
                raise
            rules, note = [], "; ".join(filter(None, (note, f"what starts it is not known: {error.message}")))
        return PipelineInfo(
            pipeline=identifier(machine.name),
            schedule=clean(", ".join(rule.schedule_expression for rule in rules if rule.schedule_expression), 200),
            paused=bool(rules) and all(rule.rests for rule in rules),
            note=note,
        )

    async def _express_note(self, machine: Machine) -> str:
        """What of its executions can be seen."""
        definition = await self._reading.definition(machine)
        unread = self._reading.express.unread.get(machine.state_machine_arn)
        if unread:
            return f"Express: its executions are not known: {unread}"
        if not definition.log_group:
            return "Express: it logs nothing, so none of its executions is seen: let it log to CloudWatch"
        level = definition.logging_configuration.level
        what = "what its log group has" if definition.logs_all else f"only those that failed are logged (level {level})"
        return clean(f"Express: {what}, of the last 24 h", 200)

    async def _error(self, machine: Machine, execution: Execution) -> str:
        """The state that failed and why, asked once for each end."""
        if execution.state != "failed":
            return ""
        key = (execution.execution_arn, execution.redrive_count)
        if key not in self._errors:
            if len(self._errors) > 5_000:
                self._errors.clear()
            if machine.is_express:
                events = await self._reading.history(machine, execution)
                said = failing_state_of(events[::-1], self._account.where)
            else:
                said = await failing_state(self._account, execution.execution_arn)
            self._errors[key] = said or clean(f"{execution.status} {execution.error} {execution.cause}".strip(), 300)
        return self._errors[key]

    def _said(self, execution: Execution) -> str:
        return self._errors.get((execution.execution_arn, execution.redrive_count), "")

    def _model(self, machine: Machine, execution: Execution, *, group: Group[Execution]) -> PipelineRun:
        name = identifier(machine.name)
        usual, duration = group.usual(execution), _lasted(execution)
        notes = [f"redriven {execution.redrive_count} times"] if execution.redrive_count > 1 else []
        notes += ["redriven once"] if execution.redrive_count == 1 else []
        notes += ["AWS shows no execution of it yet"] if execution.status == "STARTED" else []
        notes += [] if execution.begin_is_known else ["its begin is not known"]
        found = PipelineRun(
            ref=f"{self._name}/{name}/{identifier(execution.run_id)}",
            backend=self._name,
            pipeline=name,
            run_id=identifier(execution.run_id),
            state="queued" if execution.status == "STARTED" else execution.state,
            raw_state=clean(execution.status, 40),
            started_at=execution.began if execution.begin_is_known else None,
            ended_at=execution.ended,
            duration_s=duration,
            usual_s=usual.usual_s,
            late=usual.is_late(duration),
            history=group.history,
            url=_page(execution),
            note="; ".join(notes),
        )
        if execution.state != "failed":
            return found
        return replace(found, error=self._said(execution) or clean(execution.status, 40))


def _lasted(execution: Execution) -> float | None:
    return max(0.0, (datetime.now(UTC) - execution.began).total_seconds()) if execution.is_open else execution.lasted_s


def _page(execution: Execution) -> str | None:
    parts = execution.execution_arn.split(":")
    if len(parts) < 7:
        return None
    where = f"{console_of(parts[3])}/states/home?region={parts[3]}"
    arn = quote(execution.execution_arn, safe=":")
    if execution.is_express:
        return clean(
            f"{where}#/express-executions/details/{arn}?startDate={execution.began.timestamp() * 1000:.0f}", 500
        )
    return clean(f"{where}#/v2/executions/details/{arn}", 500)
