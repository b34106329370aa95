"""One odd record of many is mended and named, and takes nothing else away."""

import json
from typing import Any

import pytest

from backends.errors import BackendError
from backends.pipelines.airflow.wire import DagRuns, TaskInstances
from backends.pipelines.github.wire import Jobs, Runs
from backends.quality.dbt.artifacts import read_run_results
from backends.quality.great_expectations.results import read_validation
from backends.records import decode_mended

GOOD = {"dag_id": "a", "dag_run_id": "1", "state": "success"}


def decoded(shape: Any, key: str, *records: Any) -> Any:
    return getattr(decode_mended(json.dumps({key: records}).encode(), shape, where="x"), key)


@pytest.mark.parametrize(
    ("odd", "named", "state"),
    [
        ({"dag_id": "b", "dag_run_id": "2", "state": 5}, ("b", "2"), "unknown"),
        ({"dag_id": "b", "dag_run_id": "2", "state": ["failed"]}, ("b", "2"), "unknown"),
        ({"dag_id": "b", "dag_run_id": "2", "state": "failed", "dag_versions": 7}, ("b", "2"), "failed"),
        ({"dag_id": "b", "dag_run_id": "2", "state": "failed", "dag_versions": [None]}, ("b", "2"), "failed"),
        ({"dag_id": "b", "dag_run_id": 2, "state": "failed"}, ("b", "2"), "failed"),
        ({"dag_id": "b", "state": "success"}, ("b", "(no dag_run_id)"), "unknown"),
        ({"dag_id": None, "dag_run_id": {}, "state": "success"}, ("(no dag_id)", "(no dag_run_id)"), "unknown"),
        (None, ("(no dag_id)", "(no dag_run_id)"), "unknown"),
        ("x", ("(no dag_id)", "(no dag_run_id)"), "unknown"),
    ],
)
def test_a_run_of_airflow(odd: Any, named: tuple[str, str], state: str) -> None:
    first, second, third = decoded(DagRuns, "dag_runs", GOOD, odd, GOOD)
    assert (first.mapped, third.mapped) == ("success", "success")
    assert ((second.dag_id, second.dag_run_id), second.mapped) == (named, state)


def test_a_task_and_a_job() -> None:
    good, odd = decoded(TaskInstances, "task_instances", {"task_id": "a"}, {"task_id": 7, "map_index": "x", "state": 1})
    assert (good.name, odd.name, odd.mapped) == ("a", "7", "unknown")
    job, other = decoded(Jobs, "jobs", {"id": 1, "name": "a"}, {"id": "x", "name": None, "steps": [{"name": 1}, 3]})
    assert (job.name, other.name, [step.name for step in other.steps]) == ("a", "(no name)", ["1", "(no name)"])


def test_a_run_of_github() -> None:
    whole = {"id": 1, "workflow_id": 2, "status": "completed", "conclusion": "success"}
    good, odd, worse = decoded(Runs, "workflow_runs", whole, {**whole, "conclusion": 3}, {**whole, "id": None})
    assert [run.state for run in (good, odd, worse)] == ["success", "unknown", "unknown"]


def test_what_is_another_answer_stays_an_error() -> None:
    for body in (b"[]", b"{}", b'{"dag_runs": {}}', b"<html>", b"", b'{"dag_runs": 1}'):
        with pytest.raises(BackendError):
            decode_mended(body, DagRuns, where="x")


def test_an_odd_result_of_dbt() -> None:
    results = [
        {"unique_id": "model.shop.a", "status": "success"}, {"unique_id": "model.shop.b", "status": 5},
        {"status": "success"}, None,
    ]  # fmt: skip
    body = json.dumps({"metadata": {"generated_at": "2026-01-01T00:00:00Z"}, "results": results}).encode()
    found = read_run_results(body)
    assert found is not None
    assert [(outcome.node, outcome.verdict) for outcome in found.outcomes] == [
        ("model.shop.a", "pass"), ("model.shop.b", "unknown"), ("(no unique_id)", "unknown"),
        ("(no unique_id)", "unknown"),
    ]  # fmt: skip


def test_an_odd_result_of_great_expectations() -> None:
    results = [{"expectation_config": {"type": "expect_a", "severity": None}, "success": "yes"}, {"success": True}]
    body = json.dumps({"results": results, "statistics": {"evaluated_expectations": 2}, "suite_name": None}).encode()
    assert [failure.check for failure in read_validation(body).failures] == ["a"]
