"""Glue's jobs as they are where moto is too simple: every state of a run, attempts, predecessors, a queue, stops that
are errors in a 200. Put before moto by `answer_by`, with the logs that its jobs write."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.backends.fake_cloudwatch_logs import FakeLogs
from tests.fake_aws import FakeAws, Refused

FAST_S = 0.08
REGION = "eu-central-1"


@dataclass
class FakeJob:
    """A job; `ends` is what its runs end as (None: never by themselves), after `waits_for`'s run."""

    name: str
    ends: str | None = "SUCCEEDED"
    waits_for: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    most: int = 100
    queues: bool = False
    lasts_s: float = FAST_S
    error: str = ""


@dataclass
class FakeGlue:
    """Jobs, triggers and runs, newest first for each job as Glue has them."""

    jobs: dict[str, FakeJob] = field(default_factory=dict)
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    triggers: dict[str, dict[str, Any]] = field(default_factory=dict)
    crawlers: list[dict[str, Any]] = field(default_factory=list)
    logs: FakeLogs = field(default_factory=FakeLogs)
    refuses_stops: bool = False
    number: int = 0

    def answer_by(self, aws: FakeAws) -> "FakeGlue":
        """From now on."""
        self.logs.answer_by(aws)
        for operation, answer in {
            "ListJobs": lambda asked: {"JobNames": sorted(self.jobs)},
            "GetJob": lambda asked: {"Job": self._definition(self._job(asked["JobName"]))},
            "GetJobRuns": self.get_job_runs,
            "GetJobRun": lambda asked: {"JobRun": self._shown(self._run(asked["JobName"], asked["RunId"]))},
            "StartJobRun": self.start_job_run,
            "BatchStopJobRun": self.batch_stop_job_run,
            "GetTriggers": lambda asked: {"Triggers": list(self.triggers.values())},
            "StopTrigger": lambda asked: self._set_trigger(asked["Name"], "DEACTIVATED"),
            "StartTrigger": lambda asked: self._set_trigger(asked["Name"], "ACTIVATED"),
            "GetCrawlers": lambda asked: {"Crawlers": self.crawlers},
        }.items():
            aws.answers[f"glue.{operation}"] = answer
        return self

    def add(self, job: FakeJob, schedule: str = "cron(0 2 * * ? *)") -> FakeJob:
        """A job, started by a trigger of its own."""
        self.jobs[job.name] = job
        if schedule:
            actions = [{"JobName": job.name}]
            self.triggers[job.name] = {
                "Name": f"nightly-{job.name}", "Type": "SCHEDULED", "State": "ACTIVATED", "Schedule": schedule,
                "Actions": actions,
            }  # fmt: skip
        return job

    def ran(self, job: str, state: str, began: datetime, lasted_s: float = 60, **more: Any) -> str:
        """A run of the past."""
        self.number += 1
        run_id = more.pop("Id", f"jr_{self.number:032x}")
        ended = {} if state in ("STARTING", "RUNNING", "STOPPING", "WAITING") else {
            "CompletedOn": began + timedelta(seconds=lasted_s), "ExecutionTime": round(lasted_s),
        }  # fmt: skip
        self.runs.setdefault(job, []).insert(0, {
            "Id": run_id, "JobName": job, "Attempt": 0, "StartedOn": began, "JobRunState": state, "Arguments": {},
            "LogGroupName": "/aws-glue/jobs", "ended": True, **ended, **more,
        })  # fmt: skip
        return str(run_id)

    # ---- the API

    def get_job_runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._job(asked["JobName"])
        every = self.runs.get(asked["JobName"], [])
        begin, size = int(asked.get("NextToken", 0)), asked.get("MaxResults", 200)
        more = {"NextToken": str(begin + size)} if begin + size < len(every) else {}
        return {"JobRuns": [self._shown(run) for run in every[begin : begin + size]], **more}

    def start_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._job(asked["JobName"])
        open_ones = [run for run in self.runs.get(job.name, []) if self._state(run) in ("STARTING", "RUNNING")]
        if len(open_ones) >= job.most and not job.queues:
            raise Refused("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job.name}")
        return {"JobRunId": self._begin(job, asked)["Id"]}

    def batch_stop_job_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        (run_id,) = asked["JobRunIds"]
        run = self._run(asked["JobName"], run_id)
        named = {"JobName": asked["JobName"], "JobRunId": run_id}
        if self.refuses_stops or self._state(run) not in ("STARTING", "RUNNING", "WAITING"):
            detail = {"ErrorCode": "InternalServiceException", "ErrorMessage": "try again later"}
            return {"SuccessfulSubmissions": [], "Errors": [{**named, "ErrorDetail": detail}]}
        run["stopped"] = time.time()
        return {"SuccessfulSubmissions": [named], "Errors": []}

    # ---- inside

    def _begin(self, job: FakeJob, asked: dict[str, Any]) -> dict[str, Any]:
        previous = self._run(job.name, asked["JobRunId"]) if "JobRunId" in asked else None
        attempt = previous["Attempt"] + 1 if previous else 0
        self.number += 1
        root = previous["Id"].partition("_attempt_")[0] if previous else f"jr_{self.number:032x}"
        run: dict[str, Any] = {
            "Id": f"{root}_attempt_{attempt}" if attempt else root, "JobName": job.name, "Attempt": attempt,
            "StartedOn": datetime.now(UTC), "Arguments": asked.get("Arguments", {}), "began": time.time(),
            "LogGroupName": "/aws-glue/jobs", **({"PreviousRunId": previous["Id"]} if previous else {}),
        }  # fmt: skip
        if job.waits_for:
            before = previous["PredecessorRuns"] if previous else None
            first = self._begin(self.jobs[job.waits_for], {}) if before is None else None
            run["PredecessorRuns"] = before or [{"JobName": job.waits_for, "RunId": first and first["Id"]}]
        self.runs.setdefault(job.name, []).insert(0, run)
        now = round(time.time() * 1000)
        for suffix in ("output", "error"):
            self.logs.put(f"/aws-glue/jobs/{suffix}", now, f"INFO {job.name} {suffix} begins", run["Id"])
            self.logs.put(f"/aws-glue/jobs/{suffix}", now, "of an executor", f"{run['Id']}-1")
        return run

    def _state(self, run: dict[str, Any]) -> str:
        if "ended" in run:
            return str(run["JobRunState"])
        job, age_s = self.jobs[run["JobName"]], time.time() - run["began"]
        if "stopped" in run:
            state = "STOPPING" if time.time() - run["stopped"] < FAST_S else "STOPPED"
        elif job.ends is None or age_s < 2 * job.lasts_s:
            state = "STARTING" if age_s < job.lasts_s else "RUNNING"
        else:
            state = job.ends
        if state not in ("STARTING", "RUNNING", "STOPPING"):
            run |= {"ended": True, "JobRunState": state, "CompletedOn": datetime.now(UTC), "ExecutionTime": 1}
            run |= {"DPUSeconds": 12.5} | ({"ErrorMessage": job.error} if job.error and state == "FAILED" else {})
            self.logs.put("/aws-glue/jobs/output", round(time.time() * 1000), f"INFO {job.name} ends", run["Id"])
        return state

    def _shown(self, run: dict[str, Any]) -> dict[str, Any]:
        state = self._state(run)
        return {key: value for key, value in {**run, "JobRunState": state}.items() if key[0].isupper()}

    def _job(self, name: str) -> FakeJob:
        if name not in self.jobs:
            raise Refused("EntityNotFoundException", f"Job with name: {name} could not be found")
        return self.jobs[name]

    def _run(self, job: str, run_id: str) -> dict[str, Any]:
        self._job(job)
        for run in self.runs.get(job, []):
            if run["Id"] == run_id:
                return run
        raise Refused("EntityNotFoundException", f"Job run {run_id} not found")

    def _definition(self, job: FakeJob) -> dict[str, Any]:
        return {
            "Name": job.name, "DefaultArguments": job.arguments, "JobRunQueuingEnabled": job.queues,
            "ExecutionProperty": {"MaxConcurrentRuns": job.most},
        }  # fmt: skip

    def _set_trigger(self, name: str, state: str) -> dict[str, Any]:
        trigger = next(each for each in self.triggers.values() if each["Name"] == name)
        trigger["State"] = state
        return {"Name": name}
