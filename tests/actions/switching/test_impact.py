"""Who was hit by what went back is said with why it did."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from actions.ids import now, time_text
from actions.journal.rows import Event, StoredEvent
from actions.switching.impact import impact_words
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
    assert impact_words(history, "green", {}) == had
    assert impact_words(history, "green", {"green": 31, "blue": 5000}) == f"{had}: 1 request"
    assert impact_words(history, "green", {"green": 12}) == had, "it counts anew"
    assert impact_words(history[:1], "green", {"green": 31}) == ""
    assert impact_words([moved(3, "shift", 100)], "green", {}) == "GREEN had all traffic for 3s"


async def test_a_stage_that_fails_says_who_was_hit(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, stages={"gradual": [25, 100]}, stage_time="600s") as house:
        opened = await in_phase(house, "analyse[25]", replace(ANALYTICS_FLIP, strategy="gradual"))
        service.faults["green"].status = 503
        ended = await house.ended(opened)
        assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "health_failed")
        assert ended.error is not None
        assert re.search(r"; GREEN had 25 % of the traffic for \d+s$", ended.error.message)
