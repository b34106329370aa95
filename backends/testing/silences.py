"""What every adapter of the port `Silencer` does, besides `AlertsContract`, over the same fixtures."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from backends.errors import BackendError
from backends.models import Alert, Matcher
from backends.ports import Silencer
from backends.testing.alerts import NAME, Lose, RaiseAlerts, Raised, by_dataset

CUSTOMERS = (Matcher(name="alertname", value=NAME), Matcher(name="dataset", value="customers"))
ALL_OF_THEM = (Matcher(name="alertname", value=NAME),)
ALICE, BOB = "alice@laptop", "bob@laptop"


def in_hours(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def near(at: datetime | None, wanted: datetime) -> bool:
    return at is not None and abs(at - wanted) < timedelta(seconds=2)


async def states(adapter: Silencer) -> dict[str, str]:
    return {name: alert.state for name, alert in by_dataset(await adapter.alerts()).items()}


async def becomes(adapter: Silencer, wanted: dict[str, str]) -> None:
    """Systems judge what is hidden a moment after they were told."""
    seen: dict[str, str] = {}
    try:
        async with asyncio.timeout(10):
            while (seen := await states(adapter)) != wanted:
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{seen} instead of {wanted}")


class SilencerContract:
    @pytest.fixture(autouse=True)
    async def two_alerts(self, adapter: Silencer, raise_alerts: RaiseAlerts) -> dict[str, Alert]:
        raise_alerts([Raised("customers"), Raised("transactions")])
        return by_dataset(await adapter.alerts())

    async def test_a_preview_hides_nothing(self, adapter: Silencer) -> None:
        assert [alert.labels["dataset"] for alert in await adapter.matching(CUSTOMERS)] == ["customers"]
        assert len(await adapter.matching(ALL_OF_THEM)) == 2
        assert await adapter.matching((Matcher(name="dataset", value="none"),)) == []
        assert set((await states(adapter)).values()) == {"firing"}
        assert await adapter.silences() == []

    async def test_every_sign_of_a_matcher(self, adapter: Silencer) -> None:
        async def matched(*more: Matcher) -> set[str]:
            return {alert.labels["dataset"] for alert in await adapter.matching((*ALL_OF_THEM, *more))}

        assert await matched(Matcher(name="dataset", value="customers", is_equal=False)) == {"transactions"}
        assert await matched(Matcher(name="dataset", value="cust.*", is_regex=True)) == {"customers"}
        assert await matched(Matcher(name="dataset", value="cust", is_regex=True)) == set()
        assert await matched(Matcher(name="dataset", value="t.*", is_regex=True, is_equal=False)) == {"customers"}
        assert await matched(Matcher(name="nowhere", value="")) == {"customers", "transactions"}
        assert await matched(Matcher(name="dataset", value='a"b\\c\nd')) == set()

    async def test_an_acknowledgement_matches_the_alert_that_is_shown(
        self, adapter: Silencer, two_alerts: dict[str, Alert]
    ) -> None:
        matchers = adapter.ack_matchers(two_alerts["customers"])
        assert {(matcher.name, matcher.value) for matcher in matchers} == set(two_alerts["customers"].labels.items())
        assert [alert.fingerprint for alert in await adapter.matching(matchers)] == [
            two_alerts["customers"].fingerprint
        ]

    async def test_an_acknowledgement_is_shown_as_one(self, adapter: Silencer) -> None:
        until = in_hours(1)
        result = await adapter.silence(CUSTOMERS, until=until, by=ALICE, comment="looking at it", ack=True)
        assert result.changed
        assert result.visible_on == result.peers
        await becomes(adapter, {"customers": "acknowledged", "transactions": "firing"})
        ack = by_dataset(await adapter.alerts())["customers"].ack
        assert ack is not None
        assert (ack.by, ack.reason, ack.silence_id) == (ALICE, "looking at it", result.id)
        assert near(ack.until, until)

    async def test_a_silence_is_not_an_acknowledgement(self, adapter: Silencer) -> None:
        result = await adapter.silence(ALL_OF_THEM, until=in_hours(2), by=ALICE, comment="maintenance", ack=False)
        await becomes(adapter, {"customers": "silenced", "transactions": "silenced"})
        (silence,) = await adapter.silences()
        assert (silence.id, silence.state, silence.is_ack, silence.matches) == (result.id, "active", False, 2)
        assert (silence.created_by, silence.comment, set(silence.matchers)) == (ALICE, "maintenance", set(ALL_OF_THEM))
        assert silence.ref == f"{silence.backend}/{silence.id}"
        assert near(silence.ends_at, in_hours(2))

    async def test_the_same_again_changes_nothing(self, adapter: Silencer) -> None:
        first = await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True)
        again = await adapter.silence(CUSTOMERS[::-1], until=in_hours(1), by=ALICE, comment="once more", ack=True)
        assert (first.changed, again.changed, again.id) == (True, False, first.id)
        assert len(await adapter.silences()) == 1

    async def test_somebody_elses_or_of_another_kind_is_another_one(self, adapter: Silencer) -> None:
        made = [
            await adapter.silence(CUSTOMERS, until=in_hours(1), by=by, comment="", ack=ack)
            for by, ack in ((ALICE, True), (ALICE, False), (BOB, True))
        ]
        assert all(result.changed for result in made)
        assert len({silence.id for silence in await adapter.silences()}) == 3

    async def test_an_equal_one_that_ends_too_soon_is_extended(self, adapter: Silencer) -> None:
        short = await adapter.silence(CUSTOMERS, until=in_hours(0.1), by=ALICE, comment="", ack=False)
        long = await adapter.silence(CUSTOMERS, until=in_hours(2), by=ALICE, comment="", ack=False)
        assert (long.changed, long.id) == (True, short.id)
        (silence,) = await adapter.silences()
        assert near(silence.ends_at, in_hours(2))

    async def test_extending_keeps_the_id_and_everything_else(self, adapter: Silencer) -> None:
        made = await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="why", ack=True)
        (before,) = await adapter.silences()
        extended = await adapter.extend(made.id, in_hours(3))
        again = await adapter.extend(made.id, in_hours(2.9))
        assert (extended.id, extended.changed, again.id, again.changed) == (made.id, True, made.id, False)
        (after,) = await adapter.silences()
        assert (after.created_by, after.comment, after.matchers) == (ALICE, "why", before.matchers)
        assert (after.starts_at, after.is_ack) == (before.starts_at, True)
        assert near(after.ends_at, in_hours(3))

    async def test_an_end_that_is_meant_exactly_may_be_earlier(self, adapter: Silencer) -> None:
        made = await adapter.silence(CUSTOMERS, until=in_hours(3), by=ALICE, comment="why", ack=True)
        until = in_hours(1)
        back, again = [await adapter.extend(made.id, until, exactly=True) for _ in range(2)]
        assert (back.id, back.changed, again.id, again.changed) == (made.id, True, made.id, False)
        assert back.visible_on == back.peers
        (after,) = await adapter.silences()
        assert (after.state, after.comment, near(after.ends_at, until)) == ("active", "why", True)

    async def test_expiring(self, adapter: Silencer) -> None:
        made = await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=False)
        first, again = await adapter.expire(made.id), await adapter.expire(made.id)
        assert (first.changed, again.changed) == (True, False)
        assert first.visible_on == first.peers
        await becomes(adapter, {"customers": "firing", "transactions": "firing"})
        assert [silence.state for silence in await adapter.silences()] == ["expired"]
        with pytest.raises(BackendError) as caught:
            await adapter.extend(made.id, in_hours(1))
        assert caught.value.kind == "conflict"
        anew = await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=False)
        assert anew.changed
        assert anew.id != made.id

    @pytest.mark.parametrize("silence_id", ["2e7a3b54-0000-4000-8000-000000000000", "nonsense", "../alerts", ""])
    async def test_what_is_not_there_is_not_found(self, adapter: Silencer, silence_id: str) -> None:
        for order in (adapter.expire(silence_id), adapter.extend(silence_id, in_hours(1))):
            with pytest.raises(BackendError) as caught:
                await order
            assert caught.value.kind == "not_found"

    async def test_those_that_hide_one_alert(self, adapter: Silencer, two_alerts: dict[str, Alert]) -> None:
        mine = await adapter.silence(CUSTOMERS, until=in_hours(2), by=ALICE, comment="", ack=True)
        broad = await adapter.silence(ALL_OF_THEM, until=in_hours(1), by=BOB, comment="", ack=False)
        await becomes(adapter, {"customers": "acknowledged", "transactions": "silenced"})
        hiding = await adapter.silences(hiding=two_alerts["customers"].fingerprint)
        assert [silence.id for silence in hiding] == [broad.id, mine.id]
        hiding = await adapter.silences(hiding=two_alerts["transactions"].fingerprint)
        assert [silence.id for silence in hiding] == [broad.id]
        assert await adapter.silences(hiding="0000") == []

    @pytest.mark.parametrize(
        "matchers",
        [(), (Matcher(name="dataset", value=""),), (Matcher(name="dataset", value="x", is_equal=False),)],
        ids=["none", "an absent label", "a negative one"],
    )
    async def test_everything_is_never_hidden(self, adapter: Silencer, matchers: tuple[Matcher, ...]) -> None:
        with pytest.raises(BackendError) as caught:
            await adapter.silence(matchers, until=in_hours(1), by=ALICE, comment="", ack=False)
        assert caught.value.kind == "config"
        assert await adapter.silences() == []

    async def test_orders_to_a_lost_system_are_errors(self, adapter: Silencer, lose: Lose) -> None:
        lose()
        for order in (
            adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True),
            adapter.expire("2e7a3b54-0000-4000-8000-000000000000"),
        ):
            with pytest.raises(BackendError) as caught:
                await order
            assert caught.value.kind in ("unreachable", "timeout")
