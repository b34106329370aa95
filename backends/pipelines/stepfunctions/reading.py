"""Which state machines there are and what they ran: each is a call, in its turn. Lists of AWS are behind: what was
started from here is added until they have it."""

import asyncio
import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from backends.aws.account import MAX_PAGES, Account
from backends.aws.wire import told
from backends.errors import BackendError
from backends.pipelines.groups import Group
from backends.pipelines.stepfunctions.express import ExpressLogs
from backends.pipelines.stepfunctions.history import history_of
from backends.pipelines.stepfunctions.wire import Definition, Execution, ExecutionsPage, Machine, MachinesPage
from backends.pipelines.turns import Turns
from backends.text import clean
from backends.together import together

EXECUTIONS = 100
_OF_BEFORE = ({"statusFilter": "RUNNING"}, {"statusFilter": "FAILED"})
MACHINES_EVERY_S, RULES_EVERY_S, DEFINITION_EVERY_S = 60.0, 60.0, 300.0
LISTED_WITHIN_S = 60.0
"""So long after its start an execution may be missing in what AWS says."""


class Rule(Struct, frozen=True, rename="pascal"):
    """A rule of EventBridge that starts a machine."""

    name: str
    state: str = ""
    schedule_expression: str = ""

    @property
    def rests(self) -> bool:
        """Whether it starts nothing now."""
        return self.state == "DISABLED"


class Reading:
    """`wanted`: globs of names, or ARNs."""

    def __init__(self, account: Account, wanted: tuple[str, ...]) -> None:
        self._account = account
        self._wanted = wanted
        self.turns: Turns[Machine] = Turns()
        self.known: dict[Machine, Group[Execution]] = {}
        self.express = ExpressLogs(account)
        self._reads = asyncio.Lock()
        self._machines: tuple[float, list[Machine]] | None = None
        self._rules: dict[str, tuple[float, list[Rule]]] = {}
        self._definitions: dict[str, tuple[float, Definition]] = {}
        self._started: dict[str, tuple[float, Execution]] = {}

    def known_machines(self) -> list[Machine]:
        """Those that were listed last."""
        return [] if self._machines is None else self._machines[1]

    async def machines(self) -> list[Machine]:
        """All that are looked at. Raises BackendError."""
        if self._machines is None or time.monotonic() - self._machines[0] > MACHINES_EVERY_S:
            found: list[Machine] = []
            token: dict[str, str] = {}
            for _ in range(MAX_PAGES):
                answer = await self._account.read("stepfunctions", "list_state_machines", maxResults=1000, **token)
                page = told(answer, MachinesPage, self._account.where)
                found += [machine for machine in page.state_machines if self._is_wanted(machine)]
                if not page.next_token:
                    break
                token = {"nextToken": page.next_token}
            self._machines = (time.monotonic(), sorted(found, key=lambda machine: machine.name))
        return self._machines[1]

    async def machine(self, name: str) -> Machine:
        """One of them. Raises `not_found`."""
        found = next((machine for machine in await self.machines() if machine.name == name), None)
        if found is None:
            words = f"no state machine {clean(name, 200)} among `state_machines`"
            raise BackendError("not_found", words, fix="`teal run list`")
        return found

    async def definition(self, machine: Machine) -> Definition:
        """What it is made of, and where it logs. Raises BackendError."""
        arn = machine.state_machine_arn
        kept = self._definitions.get(arn)
        if kept is None or time.monotonic() - kept[0] > DEFINITION_EVERY_S:
            answer = await self._account.read("stepfunctions", "describe_state_machine", stateMachineArn=arn)
            kept = (time.monotonic(), told(answer, Definition, self._account.where))
            self._definitions[arn] = kept
        return kept[1]

    async def rules(self, machine: Machine, *, fresh: bool = False) -> list[Rule]:
        """The rules of EventBridge that start it. Raises BackendError."""
        arn = machine.state_machine_arn
        kept = self._rules.get(arn)
        if kept is None or fresh or time.monotonic() - kept[0] > RULES_EVERY_S:
            names = await self._account.pages("events", "list_rule_names_by_target", "RuleNames", TargetArn=arn)
            asked = (self._account.read("events", "describe_rule", Name=name) for name in names)
            answers = await together(*asked)
            kept = (time.monotonic(), [told(answer, Rule, self._account.where) for answer in answers])
            self._rules[arn] = kept
        return kept[1]

    async def read(self) -> dict[Machine, Group[Execution]]:
        """The executions of all machines, of which those that are due are read now. Raises BackendError."""
        async with self._reads:
            machines = await self.machines()
            there = set(machines)
            self.known = {machine: of for machine, of in self.known.items() if machine in there}
            await self.turns.refresh(machines, self.fresh, self.known)
            return self.known

    async def read_once(self) -> dict[Machine, Group[Execution]]:
        """The same as they were read last; now, where they never were. Raises BackendError."""
        async with self._reads:
            known = self.known
        return known or await self.read()

    async def fresh(self, machine: Machine) -> Group[Execution]:
        """The newest executions of one machine now, and those that were started from here. Raises BackendError."""
        if machine.is_express:
            group = Group(await self.express.executions(machine, await self.definition(machine)))
        else:
            group = await self._listed(machine)
        self.known[machine] = group
        self.turns.read(machine, is_open=group.is_open, is_empty=not group.runs)
        return group

    async def _listed(self, machine: Machine) -> Group[Execution]:
        asked = {"stateMachineArn": machine.state_machine_arn, "maxResults": EXECUTIONS}
        group, goes_on = await self._page(asked)
        if (
            goes_on
        ):  # a list is in the order of begins: what runs, or was redriven and failed, may have begun long before
            of_before = await together(*(self._page({**asked, **only}) for only in _OF_BEFORE))
            known = {each.execution_arn: each for page, _ in of_before for each in page.runs}
            known |= {each.execution_arn: each for each in group.runs}
            group = Group(list(known.values()))
        there = {execution.execution_arn for execution in group.runs}
        missing = [each for each in self._ours(machine.execution_arn("")) if each.execution_arn not in there]
        if missing:
            group = Group([*group.runs, *await together(*(self.execution(machine, each.run_id) for each in missing))])
        before = self.known.get(machine)
        return before if before is not None and before.runs == group.runs else group

    async def _page(self, asked: dict[str, Any]) -> tuple[Group[Execution], bool]:
        """The first page of a list, and whether there are others."""

        def made(answer: dict[str, Any]) -> tuple[Group[Execution], bool]:
            page = told(answer, ExecutionsPage, self._account.where)
            return Group(page.executions), bool(page.next_token)

        return await self._account.first("stepfunctions", "list_executions", "executions", made, **asked)

    async def execution(self, machine: Machine, name: str, *, data: bool = False) -> Execution:
        """One now; `data`: with its input. One that was started from here a moment ago is there, whatever AWS says.
        Raises `not_found`."""
        arn = machine.execution_arn(name)
        if machine.is_express:
            return await self._logged(machine, name)
        try:
            answer = await self._account.read(
                "stepfunctions", "describe_execution", executionArn=arn,
                includedData="ALL_DATA" if data else "METADATA_ONLY",
            )  # fmt: skip
        except BackendError as error:
            started = [each for each in self._ours(arn) if each.execution_arn == arn]
            if error.kind == "not_found" and started:
                return started[0]
            if error.kind in ("not_found", "config") or "InvalidArn" in error.message:  # what can be no name is none
                raise _no_run(machine, name, "executions are kept for 90 days") from None
            raise
        return told(answer, Execution, self._account.where)

    async def _logged(self, machine: Machine, name: str) -> Execution:
        found = await self.express.execution(machine, name, await self.definition(machine))
        if found is None:
            raise _no_run(machine, name, "of an Express machine, its log group of the last 24 h is looked at")
        return found

    async def history(self, machine: Machine, execution: Execution) -> list[dict[str, Any]]:
        """All its events, oldest first, without data. Raises BackendError."""
        if machine.is_express:
            return await self.express.history(execution, await self.definition(machine))
        return await history_of(self._account, execution.execution_arn)

    def started(self, machine: Machine, name: str) -> None:
        """An execution was started from here."""
        arn = machine.execution_arn(name)
        begun = Execution(execution_arn=arn, status="STARTED", start_date=datetime.now(UTC), name=name)
        self._started[arn] = (time.monotonic(), begun)
        self.touched(machine)

    def touched(self, machine: Machine) -> None:
        """Something of it was started or ended from here."""
        self.turns.touched(machine)

    def _ours(self, arn: str) -> list[Execution]:
        now = time.monotonic()
        self._started = {key: each for key, each in self._started.items() if now - each[0] < LISTED_WITHIN_S}
        return [execution for key, (_, execution) in self._started.items() if key.startswith(arn)]

    def _is_wanted(self, machine: Machine) -> bool:
        return any(
            machine.state_machine_arn == wanted if wanted.startswith("arn:") else fnmatchcase(machine.name, wanted)
            for wanted in self._wanted
        )


def _no_run(machine: Machine, name: str, kept: str) -> BackendError:
    words = f"no run {clean(name, 200)} of {clean(machine.name, 200)}"
    return BackendError("not_found", words, fix=f"`teal run list`; {kept}")
