"""Orders to Step Functions. A start is idempotent by its name, a redrive by its token; what was not answered is looked
for."""

import json
import re
from contextlib import suppress
from functools import partial
from typing import Any

from backends.aws.account import Account
from backends.aws.lost import is_lost, unless_done
from backends.errors import BackendError
from backends.pipelines.stepfunctions.reading import Reading
from backends.pipelines.stepfunctions.wire import Execution, Machine
from backends.text import clean

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class StepFunctionsOrders:
    """Start, redrive, stop, pause."""

    def __init__(self, account: Account, reading: Reading) -> None:
        self._account = account
        self._reading = reading

    async def start(self, machine: Machine, name: str, params: dict[str, Any]) -> None:
        """Raises `config` for what is no name, `conflict` for one in use with another input."""
        _refuse_express(machine, "a start of it can not be looked for", "start it where it is started from")
        if not _NAME.fullmatch(name):
            words = clean(f"{name}: no name of an execution")
            raise BackendError("config", words, fix="letters, digits, _ . and -, at most 80")
        asked = {"stateMachineArn": machine.state_machine_arn, "name": name, "input": json.dumps(params)}
        try:
            await self._account.write("stepfunctions", "start_execution", **asked)
        except BackendError as error:
            if "ExecutionAlreadyExists" not in error.message and not is_lost(error):
                raise
            await self._is_there(error, machine, name, params)
        self._reading.started(machine, name)

    async def ended(self, machine: Machine, name: str) -> Execution:
        """Raises `not_found`, `config` for an Express machine, and `conflict` while it is open."""
        _refuse_express(machine, "its executions are not redriven", "start it anew where it is started from")
        execution = await self._reading.execution(machine, name)
        if execution.is_open:
            words = clean(f"run {name} of {machine.name} is {execution.status}")
            raise BackendError("conflict", words, fix="cancel it first, or wait")
        return execution

    async def redrivable(self, machine: Machine, name: str) -> Execution:
        """Raises as `ended`, and `conflict` for one that failed and can not be redriven."""
        execution = await self.ended(machine, name)
        if execution.state != "success" and execution.redrive_status == "NOT_REDRIVABLE":
            why = execution.redrive_status_reason or "AWS does not say why"
            words = clean(f"run {name} of {machine.name} can not be redriven: {why}", 300)
            raise BackendError("conflict", words, fix="trigger it anew")
        return execution

    async def redrive(self, machine: Machine, name: str) -> None:
        """Raises as `redrivable`."""
        execution = await self.redrivable(machine, name)
        if execution.state == "success":
            return
        arn, token = execution.execution_arn, f"teal-{execution.redrive_count}-{name}"[:64]
        self._reading.touched(machine)

        async def is_redriven() -> bool:
            return (await self._reading.execution(machine, name)).redrive_count > execution.redrive_count

        asked = {"executionArn": arn, "clientToken": token}
        try:
            await unless_done(self._account.write("stepfunctions", "redrive_execution", **asked), is_redriven)
        except BackendError as error:
            if "ExecutionNotRedrivable" in error.message:
                raise BackendError("conflict", error.message, fix="trigger it anew") from None
            raise

    async def stop(self, machine: Machine, name: str) -> None:
        """Raises `not_found`, and `config` for an Express machine."""
        _refuse_express(machine, "its executions can not be stopped", "wait: they end within 5 minutes")
        execution = await self._reading.execution(machine, name)
        if not execution.is_open:
            return
        self._reading.touched(machine)
        said = {"error": "Stopped", "cause": "stopped with teal"}

        async def is_stopped() -> bool:
            return not (await self._reading.execution(machine, name)).is_open

        arn = execution.execution_arn
        await unless_done(self._account.write("stepfunctions", "stop_execution", executionArn=arn, **said), is_stopped)

    async def set_paused(self, machine: Machine, paused: bool) -> None:
        """Raises `config` for a machine that no rule of EventBridge starts."""
        rules = await self._reading.rules(machine, fresh=True)
        if not rules:
            words = clean(f"no rule of EventBridge starts {machine.name}")
            raise BackendError("config", words, fix="pause what starts it, where that is")
        operation = "disable_rule" if paused else "enable_rule"

        async def is_set(name: str) -> bool:
            return any(
                each.rests == paused for each in await self._reading.rules(machine, fresh=True) if each.name == name
            )

        for rule in rules:
            if rule.rests != paused:
                await unless_done(self._account.write("events", operation, Name=rule.name), partial(is_set, rule.name))
        with suppress(BackendError):  # it is done, also where nobody can see it
            await self._reading.rules(machine, fresh=True)

    async def _is_there(self, error: BackendError, machine: Machine, name: str, params: dict[str, Any]) -> None:
        """After a start that was refused for its name, or not answered: it is ours, or an error."""
        try:
            found = await self._reading.execution(machine, name, data=True)
        except BackendError as other:
            if not is_lost(error):
                raise
            seen = f"no run {name} of {machine.name} is there" if other.kind == "not_found" else other.message
            words = f"{error.message}; {seen}: it is in doubt"
            fix = "start it again under the same id (--idempotency-key): there will be one"
            raise BackendError(error.kind, clean(words, 400), fix=fix) from None
        if not found.has_input(params):
            raise BackendError("conflict", clean(f"run {name} of {machine.name} is there with another input"))


def _refuse_express(machine: Machine, why: str, fix: str) -> None:
    if machine.is_express:
        raise BackendError("config", clean(f"{machine.name} is an Express machine: {why}"), fix=fix)
