"""Who paused an action and who froze a service, since when and why: said wherever either shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from actions.models import Action
from actions.telling import doing, pause_words
from backends.models import Deployment, Freeze
from backends.times import local_words
from console.printing.tables import View, item_table
from panels.kinds.deployments import freeze_words
from tests.actions.house import House
from tests.actions.orders.test_orders import order, paused_before_the_shift
from tests.console.fakes import deployment
from tests.two_colors import TwoColors


async def test_a_paused_action_says_who_paused_it_and_since_when(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service) as house:
        opened = await paused_before_the_shift(house, service)
        found = await house.stands(opened, "paused")
        assert found.paused is not None
        who = house.gate.actor.login
        assert (found.paused.by, doing(found)) == (who, f"paused by {who}")
        assert found.started_at is not None
        assert timedelta() <= found.paused.since - found.started_at < timedelta(seconds=60)
        words = f"paused by {who} since {local_words(found.paused.since, UTC)}"
        assert pause_words(found, UTC).startswith(words)
        assert any(words in line for line in item_table(Action, [found], View.at_now(UTC)))
        await order(house, opened, "resume")
        assert (await house.ended(opened)).paused is None


def test_a_freeze_says_who_froze_it_since_when_and_until_when() -> None:
    since = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    frozen = Freeze(by="alice@b1", since=since, until=since + timedelta(hours=2), reason="year end")
    words = "FROZEN by alice@b1 since 02 Jan 03:04 UTC until 02 Jan 05:04 UTC: year end"
    assert freeze_words(frozen, UTC) == words
    table = item_table(Deployment, [deployment(freeze=frozen)], View.at_now(UTC))
    assert any(f"GREEN {words}" in line for line in table)
    assert freeze_words(Freeze(by="config", reason="Fri 16:00 - Mon 08:00 (UTC)"), UTC) == (
        "FROZEN by config: Fri 16:00 - Mon 08:00 (UTC)"
    )
