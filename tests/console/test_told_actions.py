"""Every reader of the journal tells the same of an action: which version, and that nothing changed."""

import re
from datetime import UTC
from pathlib import Path

from actions.models import Finding
from backends.models import Deployment
from console.cli.writing import action_lines
from console.printing.tables import View, item_table, reasons
from console.screens.deployment_lines import action_line
from console.screens.readings import action_words
from panels.words import UNICODE
from tests.console.fakes import NOW
from tests.console.screen_fakes import a_deployment, an_action
from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.two_colors import TwoColors

READERS = {("deploy", "history"): 1, ("action", "list"): 1, ("timeline",): 1, ("report",): 2}
"""How often each tells of an action: a report does in its timeline and among its actions."""


async def lines(teal: Teal, *words: str) -> list[str]:
    process = await teal.start(*words)
    output, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return output.decode().splitlines()


async def test_a_rollback_with_nothing_to_do_is_no_switch_and_a_rejection_names_its_version(tmp_path: Path) -> None:
    async with TwoColors(tmp_path) as service:
        teal = Teal(tmp_path, written(service, ""))
        orders = (("flip",), ("rollback",), ("rollback",), ("reject", "2.4.1"))
        for kind, *version in orders:
            told = await lines(teal, "deploy", kind, "analytics", *version, "-y", "--reason", "drill", "--foreground")
            if version:
                assert told[0].startswith("reject analytics 2.4.1: succeeded")
        for reader, times in READERS.items():
            said = await lines(teal, *reader)
            backs = [line for line in said if "rollback" in line]
            idle = [line for line in backs if "back already, nothing changed" in line]
            assert (len(backs), len(idle)) == (2 * times, times), said
            assert not any(re.search(r"→|blue|green", line, re.IGNORECASE) for line in idle), idle
            rejected = [line for line in said if "reject" in line and "2.4.1" in line]
            assert len(rejected) == times, said
        (shown,) = (await teal.document("action", "list", "--limit", "2"))["items"][1:]
        assert (shown["kind"], shown["status"], shown["changed"]) == ("rollback", "succeeded", False)


def test_what_worries_of_an_order_with_nothing_to_do_is_said_once() -> None:
    opened = Finding(
        level="warning", code="open-action", text="flip A is open on analytics", fix="teal deploy rollback"
    )
    for changed in (False, True):
        second = an_action(kind="freeze", status="succeeded", changed=changed, findings=(opened,))
        assert sum("is open on analytics" in line for line in action_lines(second)) == 1


def test_the_column_of_what_is_live_says_that_and_the_sentence_against_it_stands_below() -> None:
    gate = "2.5.0 went back from GREEN: error-rate: 5.2 % of 412 requests failed, and at most 1 % may"
    item = a_deployment(live="green", rejected=gate)
    header, line = item_table(Deployment, [item], View(NOW, UTC))
    live = line[header.index("LIVE") : header.index("COLORS")]
    assert live.split() == ["GREEN", UNICODE.critical]
    assert gate not in line
    assert any(gate in below for below in reasons([item]))


def test_the_console_says_the_same() -> None:
    idle = an_action(kind="rollback", status="succeeded", from_="blue", to="blue")
    rejected = an_action(kind="reject", status="succeeded", changed=True, version="2.4.1", from_="", to="rejected")
    assert "rollback   back already, nothing changed" in action_line(idle, 100, UNICODE).plain
    assert "reject 2.4.1   succeeded" in action_line(rejected, 100, UNICODE).plain
    assert action_words(idle, UNICODE) == "alice: rollback analytics, back already, nothing changed"
    assert action_words(rejected, UNICODE) == "alice: reject analytics 2.4.1, succeeded"


def test_how_an_action_stands_is_the_same_everywhere() -> None:
    from datetime import UTC, datetime, timedelta
    from typing import Any

    from actions.models import Action, Hold
    from actions.telling import standing
    from console.cli.writing import action_health
    from console.ports.store import Store
    from console.reading.history import of_actions
    from console.screens import stage_lines
    from console.screens.action_list import ACTIONS
    from console.screens.readings import health, troubles
    from panels.columns import Moment
    from panels.kinds.timeline import events

    now = datetime.now(UTC)
    hold = Hold(why="no requests", since=now - timedelta(minutes=2), until=None)
    ended: dict[str, Any] = {"ended_at": now, "changed": True}
    cases: list[tuple[Action, str, str]] = [
        (an_action(), "running", "…"),
        (an_action(orphaned_since=now - timedelta(minutes=3)), "critical", "✗"),
        (an_action(hold=hold), "warning", "▲"),
        (an_action(status="paused"), "warning", "▲"),
        (an_action(status="rolled_back", **ended), "warning", "▲"),
        (an_action(status="aborted", **ended), "warning", "▲"),
        (an_action(status="rollback_failed", **ended), "critical", "✗"),
        (an_action(status="succeeded", **ended), "ok", "✓"),
    ]
    moment = Moment(now)
    for action, word, symbol in cases:
        assert standing(action) == ACTIONS.health(action) == word, action.status
        assert ACTIONS.columns[0].cell(action, moment).text == symbol
        assert action_line(action, 100, UNICODE).plain.startswith(symbol)
        (event,) = events(of_actions([action], now - timedelta(hours=1), now), now - timedelta(hours=1), now)
        assert UNICODE.of(event.sign) == symbol, action.status
        assert action_health(action) == ("ok" if word == "running" else word)
        if action.open:
            tone = troubles(Store(), [action], (), now, UNICODE)[0].tone
            assert tone == ("strong" if word == "running" else word)
            assert health(Store(), [action], now) == {"running": "unknown"}.get(
                word, word if word == "critical" else "warning"
            )
    alone = cases[1][0]
    steps = [f"{row.lead} {row.body}" for row in stage_lines.timeline(alone, UNICODE)]
    steps = [step for step in steps if "verify" in step]
    assert "nobody runs it" in steps[0]
    assert "nobody runs it" in ACTIONS.columns[1].cell(alone, moment).text
