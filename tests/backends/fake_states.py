"""Step Functions as it is where moto ends each execution at once: states that take their time and fail, lists that are
behind, redrives, rules that start machines. Put before moto by `answer_by`."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fake_aws import FakeAws, Refused

FAST_S = 0.1
HERE = "eu-central-1:123456789012"


@dataclass
class FakeMachine:
    """Its states in their order; the last of them `fails` (None: the execution lasts until it is stopped)."""

    name: str
    states: tuple[str, ...] = ("only",)
    fails: bool | None = False
    type: str = "STANDARD"
    log_group: str = ""
    level: str = "ALL"
    cause: str = "no such table"

    @property
    def arn(self) -> str:
        return f"arn:aws:states:{HERE}:stateMachine:{self.name}"

    def definition(self) -> str:
        """Of the states, one after the other, with a catch that leads nowhere else."""
        states: dict[str, Any] = {}
        for state, following in zip(self.states, (*self.states[1:], None), strict=True):
            states[state] = {"Type": "Task", **({"Next": following} if following else {"End": True})}
        return json.dumps({"StartAt": self.states[0], "States": states})


@dataclass
class FakeStates:
    """Machines, executions (newest last) and rules. `behind_s`: how late lists and descriptions are."""

    machines: dict[str, FakeMachine] = field(default_factory=dict)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    behind_s: float = 0.0
    not_redrivable: str = ""

    def answer_by(self, aws: FakeAws) -> "FakeStates":
        """From now on."""
        for operation, answer in {
            "stepfunctions.ListStateMachines": self.list_machines,
            "stepfunctions.DescribeStateMachine": self.describe_machine,
            "stepfunctions.ListExecutions": self.list_executions,
            "stepfunctions.DescribeExecution": self.describe_execution,
            "stepfunctions.GetExecutionHistory": self.history,
            "stepfunctions.StartExecution": self.start,
            "stepfunctions.StopExecution": self.stop,
            "stepfunctions.RedriveExecution": self.redrive,
            "events.ListRuleNamesByTarget": lambda asked: {
                "RuleNames": [name for name, rule in self.rules.items() if rule["target"] == asked["TargetArn"]]
            },
            "events.DescribeRule": lambda asked: {
                key: value for key, value in self.rules[asked["Name"]].items() if key != "target"
            },
            "events.DisableRule": lambda asked: self._set(asked["Name"], "DISABLED"),
            "events.EnableRule": lambda asked: self._set(asked["Name"], "ENABLED"),
        }.items():
            aws.answers[operation] = answer
        return self

    def add(self, machine: FakeMachine, schedule: str = "rate(1 hour)") -> FakeMachine:
        """A machine, started by a rule of its own."""
        self.machines[machine.name] = machine
        if schedule:
            rule = {"Name": f"start-{machine.name}", "State": "ENABLED", "ScheduleExpression": schedule}
            self.rules[rule["Name"]] = {**rule, "target": machine.arn}
        return machine

    # ---- the API

    def list_machines(self, asked: dict[str, Any]) -> dict[str, Any]:
        made = datetime.now(UTC)
        found = [
            {"stateMachineArn": each.arn, "name": each.name, "type": each.type, "creationDate": made}
            for each in self.machines.values()
        ]
        return {"stateMachines": found}

    def describe_machine(self, asked: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(asked["stateMachineArn"])
        arn = f"arn:aws:logs:{HERE}:log-group:{machine.log_group}:*"
        logging = {"level": machine.level, "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]}
        return {
            "stateMachineArn": machine.arn, "name": machine.name, "definition": machine.definition(), "roleArn": "arn",
            "type": machine.type, "creationDate": datetime.now(UTC),
            **({"loggingConfiguration": logging} if machine.log_group else {}),
        }  # fmt: skip

    def list_executions(self, asked: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(asked["stateMachineArn"])
        if machine.type == "EXPRESS":
            raise Refused("StateMachineTypeNotSupported")
        found = [
            {key: value for key, value in self._shown(each).items() if key != "redriveStatus"}
            for each in reversed(self.executions.values())
            if each["machine"] == machine.name and time.time() - each["began"] >= self.behind_s
        ]
        found = [each for each in found if asked.get("statusFilter", each["status"]) == each["status"]]
        most = asked.get("maxResults", 100)
        return {"executions": found[:most], **({"nextToken": "more"} if len(found) > most else {})}

    def describe_execution(self, asked: dict[str, Any]) -> dict[str, Any]:
        each = self._execution(asked["executionArn"])
        if time.time() - each["began"] < self.behind_s:
            raise Refused("ExecutionDoesNotExist", "Execution Does Not Exist")
        whole = {"input": each["input"]} if asked.get("includedData") != "METADATA_ONLY" else {}
        return {**self._shown(each), **whole}

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(asked["stateMachineArn"])
        arn = f"arn:aws:states:{HERE}:execution:{machine.name}:{asked['name']}"
        there = self.executions.get(arn)
        if there is not None:
            if self._status(there) != "RUNNING" or there["input"] != asked["input"]:
                raise Refused("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            return {"executionArn": arn, "startDate": there["start"]}
        now = time.time()
        self.executions[arn] = {
            "arn": arn, "machine": machine.name, "name": asked["name"], "input": asked["input"], "began": now,
            "from": now, "start": datetime.now(UTC), "redrives": 0, "events": [], "left": list(machine.states),
        }  # fmt: skip
        self._event(self.executions[arn], "ExecutionStarted")
        return {"executionArn": arn, "startDate": datetime.now(UTC)}

    def stop(self, asked: dict[str, Any]) -> dict[str, Any]:
        each = self._execution(asked["executionArn"])
        if self._status(each) == "RUNNING":
            self._end(each, "ABORTED", "ExecutionAborted", error=asked.get("error"), cause=asked.get("cause"))
        return {"stopDate": each["stop"]}

    def redrive(self, asked: dict[str, Any]) -> dict[str, Any]:
        each = self._execution(asked["executionArn"])
        if self.not_redrivable or self._status(each) in ("RUNNING", "SUCCEEDED"):
            raise Refused("ExecutionNotRedrivable", self.not_redrivable or "it runs")
        each |= {"redrives": each["redrives"] + 1, "from": time.time(), "redriven": datetime.now(UTC)}
        del each["status"], each["stop"]
        self._event(each, "ExecutionRedriven", executionRedrivenEventDetails={"redriveCount": each["redrives"]})
        return {"redriveDate": each["redriven"]}

    def history(self, asked: dict[str, Any]) -> dict[str, Any]:
        each = self._execution(asked["executionArn"])
        self._status(each)
        events = each["events"][::-1] if asked.get("reverseOrder") else each["events"]
        begin, size = int(asked.get("nextToken", 0)), asked.get("maxResults", 100)
        more = {"nextToken": str(begin + size)} if begin + size < len(events) else {}
        assert asked.get("includeExecutionData") is False
        return {"events": events[begin : begin + size], **more}

    # ---- inside

    def _status(self, each: dict[str, Any]) -> str:
        """Play what has happened since it was looked at last."""
        if "status" in each:
            return str(each["status"])
        machine = self.machines[each["machine"]]
        while each["left"]:
            state = each["left"][0]
            number = len(machine.states) - len(each["left"])
            if time.time() < each["from"] + FAST_S * (0 if each["redrives"] else number):
                return "RUNNING"
            if each.get("in") != (state, each["redrives"]):
                self._event(each, "TaskStateEntered", stateEnteredEventDetails={"name": state})
                self._event(each, "TaskScheduled", taskScheduledEventDetails=_SCHEDULED)
                each["in"] = (state, each["redrives"])
                each["until"] = time.time() + FAST_S
            if time.time() < each["until"]:
                return "RUNNING"
            if len(each["left"]) == 1 and machine.fails is None:
                return "RUNNING"
            if len(each["left"]) == 1 and machine.fails:
                said = {"error": "States.TaskFailed", "cause": machine.cause}
                what = {"resourceType": "glue", "resource": "startJobRun"}
                self._event(each, "TaskFailed", taskFailedEventDetails={**what, **said})
                self._end(each, "FAILED", "ExecutionFailed", **said)
                return "FAILED"
            self._event(each, "TaskStateExited", stateExitedEventDetails={"name": state})
            each["left"].pop(0)
        self._end(each, "SUCCEEDED", "ExecutionSucceeded")
        return "SUCCEEDED"

    def _end(self, each: dict[str, Any], status: str, kind: str, **said: Any) -> None:
        each |= {"status": status, "stop": datetime.now(UTC)}
        details = {f"{kind[0].lower()}{kind[1:]}EventDetails": {key: value for key, value in said.items() if value}}
        self._event(each, kind, **(details if said else {}))

    def _event(self, each: dict[str, Any], kind: str, **details: Any) -> None:
        number = len(each["events"]) + 1
        at = datetime.now(UTC) + timedelta(microseconds=number)
        each["events"].append(
            {"timestamp": at, "type": kind, "id": number, "previousEventId": number - 1, **details}
        )  # fmt: skip

    def _shown(self, each: dict[str, Any]) -> dict[str, Any]:
        status = self._status(each)
        machine = self.machines[each["machine"]]
        found = {
            "executionArn": each["arn"], "stateMachineArn": machine.arn, "name": each["name"], "status": status,
            "startDate": each["start"], "redriveCount": each["redrives"],
            "redriveStatus": "NOT_REDRIVABLE" if self.not_redrivable or status == "RUNNING" else "REDRIVABLE",
        }  # fmt: skip
        found |= {"stopDate": each["stop"]} if "stop" in each else {}
        return found | ({"redriveDate": each["redriven"]} if "redriven" in each else {})

    def _machine(self, arn: str) -> FakeMachine:
        name = arn.rpartition(":")[2]
        if name not in self.machines:
            raise Refused("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self.machines[name]

    def _execution(self, arn: str) -> dict[str, Any]:
        if arn not in self.executions:
            raise Refused("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return self.executions[arn]

    def _set(self, name: str, state: str) -> dict[str, Any]:
        self.rules[name]["State"] = state
        return {}


_SCHEDULED = {"resourceType": "glue", "resource": "startJobRun", "region": "eu-central-1", "parameters": "{}"}
