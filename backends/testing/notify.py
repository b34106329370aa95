"""What every adapter of the port `Notifier` does. An adapter's test class inherits this and gives two fixtures:

`notifier`: a fresh one named `mine` with a `timeout` of 500 ms, closed afterwards, and `system`: what it writes to. All
of its addresses and credentials hold the text `SECRET`. A busy machine misses 500 ms now and then: who gives `hasty`,
too, which is `notifier` with that timeout, gives `notifier` a long one.
"""

import asyncio
import time
import traceback
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from backends.errors import BackendError
from backends.ports import ActionEvent, EventKind, FollowingNotifier, Notifier
from backends.ports.notify import MAX_REFERENCE_CHARS

SECRET = "Zx81SpectrumToken"


class System(Protocol):
    def arrived(self) -> list[str]:
        """The text of each event that it has taken, unescaped."""

    def fail(self, how: str) -> None:
        """From now on: `hang`, `refuse` (an error of the server), `close` (the connection), or empty."""

    async def stop(self) -> None: ...


def event(what: EventKind = "failed", **told: Any) -> ActionEvent:
    given: dict[str, Any] = {
        "what": what, "context": "production", "kind": "flip", "service": "analytics", "from_": "blue", "to": "green",
        "by": "maria@ops1", "reason": "release 2.4", "action": "01HZX", "at": datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
        "text": f"production: flip analytics blue → green {what}", **told,
    }  # fmt: skip
    return ActionEvent(**given)


def says_nothing_secret(error: BackendError) -> None:
    assert error.message.startswith("notify.mine: ")
    assert error.message.isprintable()
    whole = "".join(traceback.format_exception(error)) + error.message + error.fix
    assert SECRET not in whole


class NotifierContract:
    def event(self, what: EventKind = "failed", **told: Any) -> ActionEvent:
        """What it is told; whoever tells of few things only gives one of those instead."""
        return event(what, **told)

    @pytest.fixture
    def hasty(self, notifier: Notifier) -> Notifier:
        """The one with a `timeout` of 500 ms, for a system that hangs."""
        return notifier

    async def test_it_arrives(self, notifier: Notifier, system: System) -> None:
        await notifier.notify(self.event())
        assert system.arrived() == ["production: flip analytics blue → green failed"]

    async def test_text_of_others_stays_text(self, notifier: Notifier, system: System) -> None:
        hostile = "<!channel> & <script> \"quoted\" 'x' .\\r\\n → ü"
        await notifier.notify(self.event(text=hostile, reason=hostile))
        assert system.arrived() == [hostile]

    @pytest.mark.parametrize("what", ["succeeded", "failed", "rolled_back", "rollback_failed"])
    async def test_every_end_is_taken(self, notifier: Notifier, system: System, what: EventKind) -> None:
        await notifier.notify(self.event(what))

    async def test_several_at_once(self, notifier: Notifier, system: System) -> None:
        texts = [f"event {number}" for number in range(3)]
        await asyncio.gather(*(notifier.notify(self.event(text=text)) for text in texts))
        assert sorted(system.arrived()) == texts

    async def test_a_system_that_hangs_is_left_in_time(self, hasty: Notifier, system: System) -> None:
        system.fail("hang")
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await hasty.notify(self.event())
        assert (caught.value.kind, time.monotonic() - began < 3) == ("timeout", True)
        says_nothing_secret(caught.value)

    @pytest.mark.parametrize("how", ["refuse", "close"])
    async def test_a_system_that_fails_is_an_error_and_gets_it_once(
        self, notifier: Notifier, system: System, how: str
    ) -> None:
        system.fail(how)
        with pytest.raises(BackendError) as caught:
            await notifier.notify(self.event())
        says_nothing_secret(caught.value)
        system.fail("")
        await notifier.notify(self.event(text="again"))
        assert system.arrived() == ["again"]

    async def test_a_system_that_is_gone_is_unreachable(self, notifier: Notifier, system: System) -> None:
        await system.stop()
        with pytest.raises(BackendError) as caught:
            await notifier.notify(self.event())
        assert caught.value.kind == "unreachable"
        assert "connection refused" in caught.value.message
        says_nothing_secret(caught.value)

    async def test_closing_twice(self, notifier: Notifier, system: System) -> None:
        await notifier.notify(self.event())
        await notifier.aclose()
        await notifier.aclose()

    async def test_a_dry_run_goes_all_of_the_way_and_tells_nobody(self, notifier: Notifier, system: System) -> None:
        await notifier.dry_run()
        assert system.arrived() == []
        await notifier.notify(self.event(text="after it"))
        assert system.arrived() == ["after it"]

    async def test_a_dry_run_of_what_hangs_is_left_in_time(self, hasty: Notifier, system: System) -> None:
        system.fail("hang")
        with pytest.raises(BackendError) as caught:
            await hasty.dry_run()
        assert caught.value.kind == "timeout"
        says_nothing_secret(caught.value)

    async def test_a_dry_run_of_what_is_gone_says_so(self, notifier: Notifier, system: System) -> None:
        await system.stop()
        with pytest.raises(BackendError) as caught:
            await notifier.dry_run()
        assert caught.value.kind == "unreachable"
        says_nothing_secret(caught.value)


class FollowingSystem(System, Protocol):
    def kept(self) -> int:
        """How many things (messages, regions) there are of what it has taken."""

    def lose(self) -> None:
        """All of them are deleted there, by somebody else."""


class FollowingContract(NotifierContract):
    """What a notifier that keeps one thing an action does, too; `system` is a `FollowingSystem`."""

    async def test_an_action_is_one_thing_from_start_to_end(
        self, notifier: FollowingNotifier, system: FollowingSystem
    ) -> None:
        first = await notifier.follow(event("started"), "")
        assert (0 < len(first) <= MAX_REFERENCE_CHARS, first.isprintable(), SECRET in first) == (True, True, False)
        assert await notifier.follow(event("held"), first) == first
        assert await notifier.follow(event("succeeded"), first) == first
        assert system.kept() == 1

    async def test_two_actions_are_two(self, notifier: FollowingNotifier, system: FollowingSystem) -> None:
        first = await notifier.follow(event("started"), "")
        second = await notifier.follow(event("started", action="01HZY"), "")
        assert (first != second, system.kept()) == (True, 2)

    async def test_what_is_gone_is_made_anew(self, notifier: FollowingNotifier, system: FollowingSystem) -> None:
        first = await notifier.follow(event("started"), "")
        system.lose()
        second = await notifier.follow(event("failed"), first)
        assert (second not in ("", first), system.kept()) == (True, 1)

    @pytest.mark.parametrize(
        "foreign", ["nonsense", "4711", "C0FFEE/1.2/3", "../../x", "{}", "é" * MAX_REFERENCE_CHARS]
    )
    async def test_a_reference_of_somebody_else_makes_something_new(
        self, notifier: FollowingNotifier, system: FollowingSystem, foreign: str
    ) -> None:
        made = await notifier.follow(event("failed"), foreign)
        assert (made not in ("", foreign), system.kept()) == (True, 1)

    @pytest.mark.parametrize("how", ["refuse", "close"])
    async def test_what_fails_once_is_followed_afterwards(
        self, notifier: FollowingNotifier, system: FollowingSystem, how: str
    ) -> None:
        first = await notifier.follow(event("started"), "")
        system.fail(how)
        with pytest.raises(BackendError) as caught:
            await notifier.follow(event("held"), first)
        says_nothing_secret(caught.value)
        system.fail("")
        assert await notifier.follow(event("succeeded"), first) == first
        assert system.kept() == 1
