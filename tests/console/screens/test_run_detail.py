"""A run and a service in detail: what is shown, what is read again, what survives bad data."""

from typing import Any

import pytest
from msgspec.structs import replace
from textual.widgets import OptionList

from backends.errors import BackendError
from backends.models import LogEntry, TruthLayer
from backends.ports import Approval
from console.ports.store import Snapshot, SourceError, SourceKey
from console.reading.comparison import Comparison, ParamDifference, TaskTimes
from console.screens.action import ActionScreen
from console.screens.deployment_detail import DeploymentDetail
from console.screens.deployment_lines import disagreement, truth_rows
from console.screens.log_lines import LogLines, error_lines
from console.screens.plan import PlanScreen
from console.screens.run_comparison import RunComparison
from console.screens.run_detail import RunDetail
from console.screens.task_lines import first_to_read, gantt_line, span
from panels.words import UNICODE
from tests.console.screen_fakes import (
    HOSTILE,
    FakeSession,
    FakeSystem,
    Holder,
    a_deployment,
    a_run,
    ago,
    an_action,
    outside,
    said,
    some_tasks,
    text_of,
)
from tests.console.screens.test_plan_screen import SIZE, until


def a_detail(session: FakeSession, **changes: Any) -> RunDetail:
    return RunDetail(session, a_run(**changes))


def a_service(session: FakeSession, **changes: Any) -> DeploymentDetail:
    return DeploymentDetail(session, a_deployment(**changes))


def entries(*messages: str, level: Any = "unknown") -> list[LogEntry]:
    return [LogEntry(at=None, source="x", level=level, message=message) for message in messages]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["fine", "0 errors", "no failures", "errors=0"], []),
        (["fine", "ERROR: disk full", "done"], [1]),
        (["Traceback (most recent call last):", "  File x", "ValueError: y", "z"], [2]),
        (["Traceback (most recent call last):", "  File x"], [0]),
    ],
)
def test_the_line_to_look_at(messages: list[str], expected: list[int]) -> None:
    assert error_lines(entries(*messages)) == expected


def test_what_the_source_calls_an_error_comes_before_what_sounds_like_one() -> None:
    assert error_lines([*entries("an error, perhaps"), *entries("rows are missing", level="error")]) == [1]


def test_bars_lie_in_their_time() -> None:
    tasks, now = some_tasks(), ago(0)
    begin, seconds = span(tasks, a_run(), now)
    lines = [gantt_line(task, 80, UNICODE, now, begin, seconds).plain for task in tasks]
    starts = [line.find("█") for line in lines]
    assert starts[0] < starts[2] < starts[3]
    assert starts[4] == -1
    assert max(len(line) for line in lines) <= 80
    assert tasks[first_to_read(tasks)].task == "validate_transactions_data"


async def test_a_run_that_waits_says_for_whom() -> None:
    session = FakeSession()
    session.approval_list = [
        Approval(name="production", since=ago(720), detail="ops team"),
        Approval(name="billing", mine=False, detail="finance"),
    ]
    screen = a_detail(session, state="waiting", ended_at=None)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "production (ops team), for 12m: x v approves it" in text_of(pilot.app), "said")
        assert "billing (finance): not to be approved from here" in text_of(pilot.app)
        session.approval_list, session.approval_error = [], BackendError("auth", "HTTP 403")
        await pilot.press("r")
        await until(pilot, lambda: "for what can not be read: HTTP 403" in text_of(pilot.app), "unknown is said")
        assert "validate_transactions_data" in text_of(pilot.app)


async def test_it_opens_on_the_task_that_failed_and_the_line_that_says_why() -> None:
    session = FakeSession()
    screen = a_detail(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        log = screen.query_one(LogLines)
        await until(pilot, lambda: log.marked is not None, "the error is found")
        assert log.marked is not None
        assert log.marked.message.startswith("ValueError")
        await until(pilot, lambda: "ValueError: transactions_suite" in text_of(pilot.app), "and on screen")
        shown = text_of(pilot.app)
        for words in (
            "✗ failed",
            "took 4m12s, usually 3m00s",
            "by schedule",
            "37 unexpected values",
            "impact",
            "SANDBOX",
        ):
            assert words in shown
        assert outside(screen, "#subject, KeyBar, #tasks, #log") == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16)])
async def test_list_and_bars_at_every_size(size: tuple[int, int]) -> None:
    session = FakeSession()
    screen = a_detail(session)
    async with Holder(screen).run_test(size=size) as pilot:
        await until(pilot, lambda: "1m20s" in text_of(pilot.app), "the list is shown")
        await pilot.press("v")
        await until(pilot, lambda: "███" in text_of(pilot.app), "the bars are shown")
        assert outside(screen, "#subject, KeyBar, #log") == []


async def test_only_a_run_that_runs_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.run_detail.POLL_S", 0.05)
    ended, running = FakeSession(), FakeSession()
    async with Holder(a_detail(ended)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: ended.task_reads == 1, "read once")
        await pilot.pause(0.3)
        assert ended.task_reads == 1
    screen = a_detail(running, state="running", ended_at=None, duration_s=None)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: running.task_reads >= 3, "read again and again")
        running.put("pipelines", a_run(state="success"))
        await until(pilot, lambda: "✓ success" in text_of(pilot.app), "the end is shown")


async def test_the_log_of_a_task_that_is_tried_again_is_that_of_the_new_try(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    failed = replace(some_tasks()[3], task="validate", state="failed", started_at=ago(900), ended_at=ago(800))
    session.task_list = [failed]

    async def task_log(self: Any, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        number = session.task_list[0].try_number
        return [LogEntry(at=ago(1), source="validate", level="error", message=f"line of try {number}")]

    monkeypatch.setattr(FakeSystem, "task_log", task_log)
    async with Holder(a_detail(session)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "line of try 1" in text_of(pilot.app), "the first try")
        session.task_list = [replace(failed, try_number=2, started_at=ago(300), ended_at=ago(200))]
        await pilot.press("r")
        await until(pilot, lambda: "line of try 2" in text_of(pilot.app), "the second try")


async def test_the_cursor_stays_on_its_task_while_tasks_come_and_change() -> None:
    session = FakeSession()
    session.task_list = some_tasks()[:3]
    screen = a_detail(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        listed = screen.query_one("#tasks", OptionList)
        await until(pilot, lambda: listed.option_count == 3, "three tasks")
        await pilot.press("up")
        await until(pilot, lambda: screen.chosen is not None and screen.chosen.task == "ingest_customers", "chosen")
        session.task_list = [replace(some_tasks()[0], task="a new first one"), *some_tasks()]
        await pilot.press("r")
        await until(pilot, lambda: listed.option_count == 6, "six tasks")
        assert screen.chosen is not None
        assert screen.chosen.task == "ingest_customers"


async def test_tasks_that_share_a_name_and_hostile_words_are_shown() -> None:
    session = FakeSession()
    session.task_list = [replace(task, task=HOSTILE) for task in some_tasks()]
    screen = a_detail(session, pipeline=HOSTILE, error=HOSTILE)
    async with Holder(screen).run_test(size=(200, 40)) as pilot:
        await until(pilot, lambda: text_of(pilot.app).count("[bold red]BLUE[/]") >= 7, "shown as they are")


async def test_a_lost_backend_is_a_line_not_an_exception() -> None:
    session = FakeSession()
    session.task_error = BackendError("unreachable", "runs.db: connection refused", fix="start it")
    async with Holder(a_detail(session)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "connection refused: start it" in text_of(pilot.app), "said")


def test_layers_that_do_not_agree_are_loud_and_unread_ones_are_no_disagreement() -> None:
    truth = a_deployment().truth
    split = replace(truth, endpoints=TruthLayer(value="green"))
    unread = replace(truth, data=TruthLayer(value="unknown"))
    assert disagreement(a_deployment(), UNICODE) == []
    [row] = disagreement(a_deployment(truth=split), UNICODE)
    assert row.body.plain == "the layers of truth disagree: control BLUE, endpoints GREEN, data BLUE"
    [row] = disagreement(a_deployment(truth=unread), UNICODE)
    assert row.body.plain == "not known: data"


def test_a_split_that_an_action_made_is_no_disagreement() -> None:
    truth = a_deployment().truth
    shared = replace(truth, control=TruthLayer(value="mixed"), endpoints=TruthLayer(value="mixed"))
    colors = {name: replace(state, weight_pct=50) for name, state in a_deployment().colors.items()}
    split = a_deployment(truth=shared, colors=colors, live="mixed", action="7F3")
    assert disagreement(split, UNICODE) == []
    assert all("✓" in each.lead.plain for each in truth_rows(split, UNICODE))
    [row] = disagreement(replace(split, action=None), UNICODE)
    assert row.body.plain == "traffic is split, and no action is open on it"
    assert all("✗" in each.lead.plain for each in truth_rows(replace(split, action=None), UNICODE))
    only_blue = {name: replace(state, weight_pct=100 * (name == "blue")) for name, state in colors.items()}
    elsewhere = replace(split, colors=only_blue, truth=replace(shared, data=TruthLayer(value="green")))
    [row] = disagreement(elsewhere, UNICODE)
    assert "disagree: control mixed, endpoints mixed, data GREEN" in row.body.plain


async def test_a_service_shows_its_truth_both_sides_and_the_way_back() -> None:
    session = FakeSession()
    session.put("deployments", a_deployment())
    screen = a_service(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "succeeded" in text_of(pilot.app), "the history is shown")
        shown = text_of(pilot.app)
        for words in (
            "live BLUE 2.4.0",
            "endpoints",
            "switch.json generation 7",
            "▶ ✓ BLUE",
            "212/s",
            "ready, at once",
        ):
            assert words in shown
        assert outside(screen, "#subject, KeyBar, #actions, #way") == []
        session.put("deployments", a_deployment(live="green"))
        await until(pilot, lambda: "live GREEN 2.4.1" in text_of(pilot.app), "live")
        key = SourceKey("deployments", "analytics")
        error = SourceError("unreachable", "refused", "start it")
        session.store.put(Snapshot(key=key, type="x", items=(a_deployment(),), fetched_at=ago(130), error=error))
        await until(pilot, lambda: "stale 2m: refused: start it" in text_of(pilot.app), "stale is said")


async def test_enter_opens_the_open_action_and_b_plans_the_way_back() -> None:
    session = FakeSession()
    session.all_actions = [an_action(id="old", status="succeeded"), an_action(id="new"), an_action(service="other")]
    screen = a_service(session, action="new")
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: screen.query_one(OptionList).option_count == 2, "its actions are listed")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionScreen), "open")
        assert isinstance(pilot.app.screen, ActionScreen)
        assert pilot.app.screen.action_id == "new"
        await pilot.press("q", "b")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen), "planned")
        assert session.submits == []


async def test_hostile_words_of_a_service() -> None:
    session = FakeSession()
    session.all_actions = [an_action(reason=HOSTILE)]
    truth = replace(a_deployment().truth, control=TruthLayer(value=HOSTILE, detail=HOSTILE))
    screen = a_service(session, truth=truth)
    async with Holder(screen).run_test(size=(200, 40)) as pilot:
        await until(pilot, lambda: text_of(pilot.app).count(HOSTILE) >= 2, "shown as they are")
        assert "the layers of truth disagree" in said(screen, "#trouble")


async def test_a_run_is_shown_beside_the_last_good_one_and_d_tells_all_of_it() -> None:
    session = FakeSession()
    session.beside = Comparison(
        good="local/production_data_pipeline/1841", good_run_id="1841", good_ended_at=ago(1320), duration_s=252,
        good_s=180, params=(ParamDifference(name="rows", value="5000", good="500"),),
        tasks=(TaskTimes(task="ingest", duration_s=140, good_s=20), TaskTimes(task="marts", duration_s=None, good_s=9)),
        code="version 4", good_code="version 3", unknown=("rows",),
    )  # fmt: skip
    screen = RunDetail(session, a_run())
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "version 3 → version 4; rows 500 → 5000; ingest slower" in text_of(pilot.app), "so")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunComparison), "in full")
        await until(pilot, lambda: "not told" in text_of(pilot.app), "all of it")
        shown = text_of(pilot.app)
        for words in ("#1841, 22m ago; this took 4m12s, that 3m00s", "ingest 20s → 2m20s", "–     9.0s  marts"):
            assert words in shown


async def test_where_there_is_no_good_run_the_page_says_so() -> None:
    session = FakeSession()
    screen = RunDetail(session, a_run())
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "none to compare with: no earlier run" in text_of(pilot.app), "that there is none")
