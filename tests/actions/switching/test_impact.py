"""Who was hit by what went back is said with why it did."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.ids import now, time_text
from actions.journal.rows import Event, StoredEvent
from actions.switching.impact import impact_words
from actions.tally import Own
from backends.deployments.file_switch import FileSwitch
from backends.ports import RequestCounts
from tests.actions.house import ANALYTICS_FLIP, House
from tests.actions.orders.test_orders import in_phase
from tests.two_colors import TwoColors


def told(ago_s: float, step: str, **event: Any) -> StoredEvent:
    at = time_text(now() - timedelta(seconds=ago_s))
    return StoredEvent(id=0, at=at, fence=1, event=Event(step=step, **{"kind": "observed", **event}))


def moved(ago_s: float, step: str, green: int, result: str = "applied") -> StoredEvent:
    return told(ago_s, step, data={"after": {"weights": {"blue": 100 - green, "green": green}}, "result": result})


def test_each_share_with_its_time_and_the_requests_that_the_side_took() -> None:
    history = [
        told(102, "preflight", kind="verdict"),
        moved(101, "shift[10]", 10),
        told(100, "verify[10]", kind="progress", data={"requests": {"blue": 900, "green": 30}}),
        moved(41, "shift[25]", 25),
        moved(20, "shift[50]", 50, "not applied"),
        moved(1, "shift-back", 0),
    ]
    had = "GREEN had 10 % of the traffic for 1m, 25 % for 40s"
    assert impact_words(history, "green", RequestCounts()) == had
    assert impact_words(history, "green", RequestCounts(requests={"green": 31, "blue": 5000})) == f"{had}: 1 request"
    assert (
        impact_words(history, "green", RequestCounts(requests={"green": 12}))
        == f"{had}: 12 requests since its count began anew"
    )
    assert impact_words(history[:1], "green", RequestCounts(requests={"green": 31})) == ""
    assert impact_words([moved(3, "shift", 100)], "green", RequestCounts()) == "GREEN had all traffic for 3s"


def test_how_many_of_them_failed_and_how_many_may_be_its_own() -> None:
    history = [
        told(102, "shift[10]", kind="progress", data={"requests": {"green": 30}, "failures": {"green": 4}}),
        moved(101, "shift[10]", 10),
        moved(1, "shift-back", 0),
    ]
    had = "GREEN had 10 % of the traffic for 1m40s"

    def own(color: str, since: Any, until: Any) -> Own:
        assert (until - since).total_seconds() > 101, "from before its first traffic on"
        return Own(taken=10, failed=3, unnamed=1)

    def words(taken: int, failed: dict[str, int]) -> str:
        counts = RequestCounts(requests={"green": taken}, failures=failed, refused=0)
        return impact_words(history, "green", counts, own)

    among = "; its own test requests may be among them: 10"
    assert words(140, {"green": 30}) == f"{had}: 110 requests, 26 of them failed{among}"
    assert words(140, {"green": 4}) == (
        f"{had}: 110 requests, none was counted as failed; no side answered 1 of our own test requests{among}"
    ), "HAProxy counts no failure where the client gave up"
    assert words(40, {"green": 30}) == f"{had}: 10 requests, 10 of them failed{among}"
    assert words(39, {"green": 5}) == f"{had}: 9 requests, 1 of them failed", "it counts fewer than we sent"
    assert words(140, {}) == f"{had}: 110 requests{among}"


@pytest.mark.parametrize(
    ("share", "refused", "words"),
    [
        (100, 60, "GREEN had all traffic for 12s: 186 requests, 52 of them failed"),
        (100, 37, "GREEN had all traffic for 12s: 163 requests, 29 of them failed"),
        (100, None, "GREEN had all traffic for 12s: 163 requests, 29 of them failed; nobody counts those"),
        (10, 60, "GREEN had 10 % of the traffic for 12s: 163 requests, 29 of them failed; the load balancer answered "
                 "23 more requests itself"),
    ],
)  # fmt: skip
def test_what_the_load_balancer_answered_itself_is_of_the_side_that_had_all_traffic(
    share: int, refused: int | None, words: str
) -> None:
    """A server that is down is asked no more: its users are counted by the backend alone."""
    before = {"requests": {"green": 100}, "failures": {"green": 1}, "refused": 37}
    history = [told(13, "shift", kind="progress", data=before), moved(13, "shift", share), moved(1, "shift-back", 0)]

    def own(color: str, since: Any, until: Any) -> Own:
        return Own(unnamed=2)

    counts = RequestCounts(requests={"green": 263}, failures={"green": 30}, refused=refused)
    found = impact_words(history, "green", counts, own)
    assert found.startswith(words)
    assert ("load balancer" in found) == ("load balancer" in words or refused is None)


async def test_a_way_back_says_that_nobody_counts_what_a_load_balancer_answers_itself(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/canary.md promises it of every switch but HAProxy, and no way back said it."""
    monkeypatch.setattr(FileSwitch, "request_counts", _answering({"blue": 100, "green": 10}))
    async with House(tmp_path / "state", service, bake="600s") as house:
        opened = await in_phase(house, "bake", ANALYTICS_FLIP)
        service.router_status = 502
        before = len(service.requests)
        async with asyncio.timeout(30):
            while len(service.requests) < before + 2:
                await asyncio.sleep(0.05)
        service.router_status = 200
        monkeypatch.setattr(FileSwitch, "request_counts", _answering({"blue": 100, "green": 30}))
        service.faults["green"].status = 503
        ended = await house.ended(opened)
        assert ended.error is not None
        assert "; nobody counts those that the load balancer answered itself, with an error" in ended.error.message


async def test_a_side_that_had_counted_nothing_yet_has_had_all_that_it_counts_now(
    tmp_path: Path, service: TwoColors
) -> None:
    """A fresh process: its page answers, and has no such series before its first request."""
    pages = {color: service.url(color, "/metrics") for color in ("blue", "green")}
    service.faults["green"].body = b"# HELP process_start_time_seconds When it was started.\n"
    async with House(tmp_path / "state", service, exposition=pages) as house:
        switch = (await house.targets.switch("analytics")).adapter
        assert (await switch.request_counts()).requests["green"] == 0
        service.faults["green"].body = b'http_requests_total{status="200"} 40\nhttp_requests_total{status="500"} 2\n'
        counts = await switch.request_counts()
        assert (counts.requests["green"], counts.failures["green"], counts.refused) == (42, 2, None)
        service.faults["green"].body = b"<html>nobody here counts</html>"
        assert "green" not in (await switch.request_counts()).requests


async def test_users_are_counted_from_before_the_first_traffic_until_the_way_back_is_proven(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken(_: FileSwitch) -> RequestCounts:
        green = 70 if service.weights()["green"] == 0 else 9000
        return RequestCounts(requests={"blue": 9000, "green": green}, failures={"green": 7})

    monkeypatch.setattr(FileSwitch, "request_counts", taken)
    async with House(tmp_path / "state", service, stages={"gradual": [25, 100]}, stage_time="600s") as house:
        opened = await in_phase(house, "analyse[25]", replace(ANALYTICS_FLIP, strategy="gradual"))
        told = [line.event for line in await house.journal.history(str(opened.id))]
        counted = [event for event in told if "requests" in event.data]
        assert [(event.step, event.data["requests"]["green"]) for event in counted] == [("shift[25]", 70)]
        assert told.index(counted[0]) < next(n for n, event in enumerate(told) if event.kind == "intent")
        monkeypatch.setattr(FileSwitch, "request_counts", _answering({"green": 9070}, {"green": 507}))
        service.faults["green"].status = 503
        ended = await house.ended(opened)
        assert ended.error is not None
        assert re.search(
            r"; GREEN had 25 % of the traffic for \d+s: \d+ requests, \d+ of them failed; "
            r"its own test requests may be among them: \d+$",
            ended.error.message,
        )


def _answering(requests: dict[str, int], failures: dict[str, int] | None = None) -> Any:
    async def answered(_: FileSwitch) -> RequestCounts:
        return RequestCounts(requests=requests, failures=failures or {})

    return answered


async def test_a_stage_that_fails_says_who_was_hit(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, stages={"gradual": [25, 100]}, stage_time="600s") as house:
        opened = await in_phase(house, "analyse[25]", replace(ANALYTICS_FLIP, strategy="gradual"))
        service.faults["green"].status = 503
        ended = await house.ended(opened)
        assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "health_failed")
        assert ended.error is not None
        assert re.search(r"; GREEN had 25 % of the traffic for \d+s$", ended.error.message)
