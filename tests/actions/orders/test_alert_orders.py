"""Orders to a system of alerts through the gate, on Alertmanager peers in this process that lose answers at will."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.described import Described
from actions.models import Action, Consent, Plan, Refused, Request
from actions.notices import event_of
from actions.orders.alerts import _named
from actions.outcome import exit_code
from actions.targets import SilencerTarget
from backends.alerts.alertmanager.alerts import Alertmanager
from backends.errors import BackendError
from backends.models import Alert, Matcher
from backends.registry import AdapterContext, build
from console.reading.history import of_actions
from tests.actions.house import YES, House
from tests.backends.fake_alertmanager import FakeAlertmanager, cluster

HOUR = 3600.0
WITH_REASON = Consent(confirmed=True, reason="migration")


@pytest.fixture
def peers() -> Iterator[list[FakeAlertmanager]]:
    with cluster(2) as peers:
        yield peers


@pytest.fixture
async def am(tmp_path: Path, house: House, peers: list[FakeAlertmanager]) -> Alertmanager:
    config = {"urls": [peer.url for peer in peers], "timeout": "3s", "visible_within": "2s"}
    adapter: Alertmanager = build(
        "alerts", "alertmanager", config, AdapterContext("am", tmp_path, tmp_path, house.http)
    )
    told = Described(
        port="alerts", type="alertmanager", name="am", config=config, base_dir=tmp_path, state_dir=tmp_path
    )
    house.targets.silencers["am"] = SilencerTarget(adapter, told)
    return adapter


@pytest.fixture
async def ref(am: Alertmanager, peers: list[FakeAlertmanager]) -> str:
    """Of an alert that fires on both peers."""
    fire(peers, alertname="Slow", service="analytics", pod="p-1")
    return (await am.alerts())[0].ref


def fire(peers: list[FakeAlertmanager], **labels: str) -> None:
    for peer in peers:
        peer.fire(**labels)


def ack(ref: str, for_s: float | None = None, *overrides: str) -> Request:
    return Request(kind="ack", service=ref, ref=ref, for_s=for_s, overrides=overrides)


def silence(*matchers: tuple[str, str], for_s: float | None = None, overrides: tuple[str, ...] = ()) -> Request:
    found = tuple(Matcher(name=name, value=value) for name, value in matchers)
    return Request(kind="silence", service=f"am/{found}", matchers=found, for_s=for_s, overrides=overrides)


def on(kind: str, ref: str, for_s: float | None = None) -> Request:
    return Request(kind=kind, service=ref, ref=ref, for_s=for_s)


def levels(plan: Plan) -> dict[str, str]:
    return {finding.code: finding.level for finding in plan.findings}


async def refused(house: House, request: Request, consent: Consent = YES) -> Refused:
    with pytest.raises(Refused) as caught:
        await house.order(request, consent)
    return caught.value


async def test_an_acknowledgement_says_what_it_hides_and_who_shows_it(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager]
) -> None:
    plan = await house.gate.plan(ack(ref))
    assert (plan.guard_class, plan.from_, plan.to) == ("1", "firing", "acknowledged")
    assert plan.summary.effects == (
        'silence  {alertname="Slow", pod="p-1", service="analytics"} for 1h by '
        f"{house.gate.actor}, as an acknowledgement",
        "hides    1 alert: Slow service=analytics now",
    )
    assert plan.summary.undo == f"teal alert unsilence {ref}"
    assert peers[0].orders == []
    ended = await house.order(ack(ref), WITH_REASON)
    assert (ended.status, ended.changed, exit_code(ended)) == ("succeeded", True, 0)
    assert [step.status for step in ended.steps] == ["succeeded"] * 3
    assert ended.steps[-1].detail == "visible on 2/2 peers, hides 1 alert"
    (alert,) = await am.alerts()
    assert alert.ack is not None
    assert (alert.state, alert.ack.by, alert.ack.reason) == ("acknowledged", str(house.gate.actor), "migration")
    assert ended.ref == f"am/{alert.ack.silence_id}"
    assert ended.undo == f"teal alert unsilence {ended.ref}"
    assert ended.service == ref


async def test_what_people_read_has_the_name_of_the_alert_and_rows_its_ref(house: House, ref: str) -> None:
    plan = await house.gate.plan(ack(ref))
    ended = await house.order(ack(ref), WITH_REASON)
    assert ended.started_at is not None
    assert plan.named == ended.named == "Slow service=analytics"
    (told,) = of_actions([ended], ended.started_at - timedelta(hours=1), ended.started_at + timedelta(hours=1))
    for words in (event_of("succeeded", plan.context, ended).text, told.text):
        assert "Slow service=analytics" in words
        assert ref not in words
    assert ended.service == ref


async def test_the_same_again_is_already_so(house: House, am: Alertmanager, ref: str) -> None:
    await house.order(ack(ref))
    plan = await house.gate.plan(ack(ref))
    assert (plan.already, plan.summary.effects) == (True, ())
    again = await house.order(ack(ref))
    assert (again.status, again.changed, exit_code(again)) == ("succeeded", False, 0)
    longer = await house.gate.plan(ack(ref, 2 * HOUR))
    assert not longer.already
    assert any(effect.startswith("extend ") for effect in longer.summary.effects)
    assert (await house.order(ack(ref, 2 * HOUR))).changed
    assert len(await am.silences()) == 1


@pytest.mark.parametrize(
    ("kind", "hours", "guard_class"), [("ack", 1, "1"), ("ack", 3, "2"), ("silence", 2, "1"), ("silence", 2.1, "2")]
)
async def test_the_class_follows_the_time(house: House, ref: str, kind: str, hours: float, guard_class: str) -> None:
    assert (await house.gate.plan(on(kind, ref, hours * HOUR))).guard_class == guard_class


async def test_a_long_one_in_a_protected_context_is_of_class_two(house: House, ref: str) -> None:
    house.under(protected=True)
    assert (await house.order(ack(ref))).changed
    assert (await refused(house, on("silence", ref, 3 * HOUR))).exit_code == 3
    named = Consent(confirmed=True, typed_context="test", reason="night shift")
    assert (await house.order(on("silence", ref, 3 * HOUR), named)).changed


async def test_over_a_day_only_with_a_reason(house: House, ref: str) -> None:
    assert "reason" in (await refused(house, on("silence", ref, 25 * HOUR))).error.message
    assert (await house.order(on("silence", ref, 25 * HOUR), WITH_REASON)).changed


@pytest.mark.parametrize("for_s", [0.0, -1.0, 1e12, float("nan"), float("inf")])
async def test_a_time_that_is_none(house: House, ref: str, for_s: float) -> None:
    with pytest.raises(BackendError) as caught:
        await house.gate.plan(ack(ref, for_s))
    assert caught.value.kind == "config"


async def test_a_crowd_asks_for_its_count(house: House, am: Alertmanager, peers: list[FakeAlertmanager]) -> None:
    for number in range(101):
        fire(peers, alertname="Slow", instance=f"i{number}")
    request = silence(("alertname", "Slow"))
    no = await refused(house, request)
    assert (no.exit_code, no.findings[0].code) == (3, "matches-101")
    assert "--override matches-101" in no.error.fix
    fire(peers, alertname="Slow", instance="one more")
    override = silence(("alertname", "Slow"), overrides=("matches-101",))
    assert (await refused(house, override, WITH_REASON)).findings[0].code == "matches-102"
    override = silence(("alertname", "Slow"), overrides=("matches-102",))
    assert (await refused(house, override)).exit_code == 3
    assert (await house.order(override, WITH_REASON)).changed
    assert all(alert.state == "silenced" for alert in await am.alerts())


async def test_alerts_of_another_service_ask_for_the_count(
    house: House, ref: str, am: Alertmanager, peers: list[FakeAlertmanager]
) -> None:
    fire(peers, alertname="Slow", service="billing")
    assert levels(await house.gate.plan(ack(ref))) == {}
    plan = await house.gate.plan(silence(("alertname", "Slow")))
    assert levels(plan) == {"matches-2": "block"}
    assert "also of analytics, billing" in plan.findings[0].text


async def test_the_hash_does_not_cover_counts_and_times(
    house: House, am: Alertmanager, peers: list[FakeAlertmanager]
) -> None:
    fire(peers, alertname="Slow", instance="a")
    first = await house.gate.plan(silence(("alertname", "Slow")))
    fire(peers, alertname="Slow", instance="b")
    second = await house.gate.plan(silence(("alertname", "Slow")))
    assert first.hash == second.hash
    assert first.summary.effects != second.summary.effects
    others = [silence(("alertname", "Slow"), for_s=HOUR), silence(("alertname", "Fast"))]
    assert len({first.hash, *[(await house.gate.plan(other)).hash for other in others]}) == 3


async def test_what_it_would_not_match_is_said(house: House, am: Alertmanager, peers: list[FakeAlertmanager]) -> None:
    assert levels(await house.gate.plan(silence(("alertname", "Nothing")))) == {"no-match": "warning"}


@pytest.mark.parametrize(
    "value", ["two\nlines", "a\ttab", "zero\u200bwidth", "\u202ebidi", "Od\x1b[31md", "x" * 700, 'q"\\n']
)
async def test_a_label_that_is_not_shown_as_it_is_still_matches(
    house: House, am: Alertmanager, peers: list[FakeAlertmanager], value: str
) -> None:
    fire(peers, alertname="Slow", service=value)
    (alert,) = await am.alerts()
    plan = await house.gate.plan(ack(alert.ref))
    assert (levels(plan), plan.summary.effects[0].isprintable()) == ({}, True)
    assert (await house.order(ack(alert.ref))).changed
    (silenced,) = peers[0].known.values()
    assert {each["name"]: each["value"] for each in silenced["matchers"]} == {"alertname": "Slow", "service": value}
    assert (await am.alerts())[0].state == "acknowledged"
    assert (await house.order(ack(alert.ref))).changed is False
    assert len(peers[0].known) == 1


@pytest.fixture
def crowd(house: House, am: Alertmanager, peers: list[FakeAlertmanager]) -> None:
    """Three alerts and the watchdog."""
    house.targets.silencers["am"] = replace(house.targets.silencers["am"], watchdog="Watchdog")
    for name in ("A0", "A1", "A2"):
        fire(peers, alertname=name, severity="critical", service=name)
    fire(peers, alertname="Watchdog", severity="none")


def by_regex(name: str, value: str, *overrides: str, is_equal: bool = True) -> Request:
    found = (Matcher(name=name, value=value, is_regex=True, is_equal=is_equal),)
    return Request(kind="silence", service=f"am/{found}", matchers=found, overrides=overrides)


@pytest.mark.parametrize(
    "request_",
    [
        by_regex("alertname", ".+"),
        by_regex("severity", "critical|warning|info|.+"),
        by_regex("severity", ".*"),
        by_regex("alertname", "A.|Watchdog"),
        by_regex("alertname", "[A-Za-z0-9]+"),
        by_regex("nowhere", ".*"),
    ],
    ids=lambda request: str(request.matchers[0]),
)
@pytest.mark.usefixtures("crowd")
async def test_a_silence_of_everything_is_only_made_when_asked_for(
    house: House, request_: Request, peers: list[FakeAlertmanager]
) -> None:
    no = await refused(house, request_)
    codes = {finding.code for finding in no.findings}
    assert codes >= {"matches-all", "matches-watchdog"}
    assert (no.exit_code, peers[0].orders) == (3, [])
    asked = replace(request_, overrides=tuple(codes))
    assert (await refused(house, asked)).exit_code == 3
    assert (await house.order(asked, WITH_REASON)).changed


@pytest.mark.usefixtures("crowd")
async def test_one_of_all_but_the_watchdog_is_one_of_everything(house: House) -> None:
    found = {each.code: each for each in (await house.gate.plan(by_regex("alertname", "A.*"))).findings}
    assert found["matches-all"].level == "block"
    assert found["matches-all"].text == "it matches every alert there is but Watchdog (3 alerts now)"
    assert "matches-all" not in levels(await house.gate.plan(by_regex("alertname", "A[01]")))


async def test_a_pattern_that_takes_anything_is_one_of_everything_before_anything_fires(
    house: House, am: Alertmanager
) -> None:
    assert "matches-all" in levels(await house.gate.plan(by_regex("severity", ".+")))
    assert "matches-all" not in levels(await house.gate.plan(by_regex("service", "web|api")))
    assert "matches-all" not in levels(await house.gate.plan(by_regex("service", "(web-.*")))


@pytest.mark.usefixtures("crowd")
async def test_the_watchdog_is_not_hidden_unasked(house: House, am: Alertmanager) -> None:
    refs = {alert.name: alert.ref for alert in await am.alerts()}
    assert levels(await house.gate.plan(ack(refs["Watchdog"]))) == {"matches-watchdog": "block"}
    assert levels(await house.gate.plan(ack(refs["A0"]))) == {}
    assert "matches-watchdog" in levels(await house.gate.plan(silence(("severity", "none"))))
    made = await house.order(ack(refs["Watchdog"], None, "matches-watchdog"), WITH_REASON)
    assert made.ref is not None
    assert levels(await house.gate.plan(on("extend", made.ref, 2 * HOUR))) == {"matches-watchdog": "block"}


async def test_the_only_alert_there_is_can_be_acknowledged(house: House, ref: str) -> None:
    assert levels(await house.gate.plan(ack(ref))) == {}


@pytest.mark.parametrize("behind_s", [240, 1800])
async def test_a_silence_that_hides_nothing_yet_is_no_success(
    house: House, am: Alertmanager, peers: list[FakeAlertmanager], behind_s: float
) -> None:
    for peer in peers:
        peer.clock_ahead = -timedelta(seconds=behind_s)
    fire(peers, alertname="Late")
    (alert,) = await am.alerts()
    ended = await house.order(ack(alert.ref))
    in_force = (await am.alerts())[0].state == "acknowledged"
    assert (ended.status == "succeeded", exit_code(ended) == 0) == (in_force, in_force)
    assert in_force == (behind_s == 240)
    if not in_force:
        assert ended.error is not None
        assert "pending: its clock is behind" in ended.error.message
        assert not (await house.gate.plan(ack(alert.ref))).already


async def test_one_peer_whose_clock_is_behind_is_named(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager]
) -> None:
    peers[1].clock_ahead = -timedelta(minutes=4)
    ended = await house.order(ack(ref))
    assert (ended.status, exit_code(ended)) == ("aborted", 1)
    assert ended.error is not None
    assert f"{peers[1].url} has it as pending" in ended.error.message


async def test_somebody_has_it_already(house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager]) -> None:
    await house.order(ack(ref))
    for silence_id in peers[0].known:
        for peer in peers:
            peer.known[silence_id]["createdBy"] = "bob@laptop"
    plan = await house.gate.plan(ack(ref))
    assert levels(plan) == {"acknowledged": "warning"}
    assert "bob@laptop" in plan.findings[0].text


async def test_extend_and_unsilence_by_alert_and_by_id(house: House, am: Alertmanager, ref: str) -> None:
    made = await house.order(ack(ref))
    assert made.ref is not None
    assert (await house.order(on("extend", ref, HOUR))).changed is False
    for name in (ref, made.ref):
        hours = 2.0 if name == ref else 4.0
        extended = await house.order(on("extend", name, hours * HOUR), WITH_REASON)
        assert (extended.changed, extended.ref) == (True, made.ref)
    ended = await house.order(on("unsilence", ref))
    assert (ended.changed, ended.to, ended.ref) == (True, "expired", made.ref)
    assert ended.undo.startswith("teal alert silence -m 'alertname=\"Slow\"'")
    for name in (ref, made.ref):
        assert (await house.order(on("unsilence", name))).changed is False
    assert (await refused(house, on("extend", ref))).exit_code == 5
    assert (await refused(house, on("extend", made.ref))).findings[0].code == "expired"


@pytest.mark.parametrize("kind", ["extend", "ack"])
async def test_what_made_it_last_longer_is_undone_by_its_former_end(
    house: House, am: Alertmanager, ref: str, kind: str
) -> None:
    """Ended as a whole it would notify everybody of what is being worked on."""
    await house.order(ack(ref))
    (before,) = await am.silences()
    longer = await house.order(on(kind, ref, 4 * HOUR), WITH_REASON)
    assert longer.undo.startswith(f"teal alert extend am/{before.id} --until ")
    until = datetime.fromisoformat(longer.undo.rpartition(" ")[2])
    undone = await house.order(replace(on("extend", f"am/{before.id}"), until=until))
    assert undone.changed
    (after,) = await am.silences()
    assert (after.id, after.state) == (before.id, "active")
    assert before.ends_at is not None
    assert after.ends_at is not None
    assert abs((after.ends_at - before.ends_at).total_seconds()) < 1
    assert (await house.order(replace(on("extend", f"am/{before.id}"), until=until))).changed is False


@pytest.mark.usefixtures("crowd")
async def test_the_undo_of_ending_one_of_everything_is_taken_as_it_is_typed(house: House) -> None:
    """It lacked what `silence` has to override."""
    wide = by_regex("alertname", "A.*")
    codes = [each.code for each in (await house.gate.plan(wide)).findings if each.level == "block"]
    assert "matches-all" in codes
    made = await house.order(replace(wide, overrides=tuple(codes)), WITH_REASON)
    undo = (await house.order(on("unsilence", str(made.ref)))).undo
    overrides = " ".join(f"--override {code}" for code in codes)
    assert undo == f"teal alert silence -m 'alertname=~\"A.*\"' {overrides} --reason WHY"
    again = replace(wide, overrides=tuple(words for words in undo.split() if words in codes))
    assert (await house.order(again, WITH_REASON)).changed


async def test_two_silences_of_one_alert_must_be_named(house: House, am: Alertmanager, ref: str) -> None:
    await house.order(ack(ref))
    await house.order(on("silence", ref))
    no = await refused(house, on("unsilence", ref))
    assert (no.exit_code, no.error.kind) == (5, "ambiguous")
    assert all(silence.ref in no.error.fix for silence in await am.silences())


@pytest.mark.parametrize("kind", ["ack", "silence", "extend", "unsilence"])
async def test_what_is_not_there(house: House, am: Alertmanager, kind: str) -> None:
    assert (await refused(house, on(kind, "am/0000"))).exit_code == 5


@pytest.mark.parametrize("fault", ["reset after", "hang after", "502 after"])
async def test_a_lost_answer_makes_no_second_silence(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager], fault: str
) -> None:
    peers[0].fault = fault
    ended = await house.order(ack(ref))
    assert (ended.status, ended.changed) == ("succeeded", True)
    assert peers[0].orders + peers[1].orders == ["POST /silences"]


@pytest.mark.parametrize(("fault", "code"), [("reset before", 7), ("403 before", 4), ("400 before", 2)])
async def test_an_order_that_came_to_nothing(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager], fault: str, code: int
) -> None:
    peers[0].fault = fault
    ended = await house.order(ack(ref))
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, code)
    assert await am.silences() == []
    assert (await house.order(ack(ref))).changed


async def test_a_peer_that_does_not_show_it_is_no_success(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager]
) -> None:
    peers[0].gossips = False
    ended = await house.order(ack(ref))
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", True, 1)
    assert ended.error is not None
    assert f"visible on 1/2 peers; {peers[1].url} does not show it" in ended.error.message


async def test_a_peer_that_is_lost_is_told(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager]
) -> None:
    peers[0].fault = "read reset"
    ended = await house.order(ack(ref))
    assert (ended.status, ended.changed) == ("succeeded", True)
    assert f"visible on 1/2 peers; {peers[0].url}" in ended.steps[-1].detail


async def test_a_runner_that_dies_leaves_nothing_to_do_twice(
    house: House, am: Alertmanager, ref: str, peers: list[FakeAlertmanager]
) -> None:
    peers[0].fault = "hang after"
    action: Action = await house.gate.submit(await house.gate.plan(ack(ref)), YES)
    async with asyncio.timeout(30):
        while not peers[0].orders:  # it may be written down as begun, and not yet sent
            await asyncio.sleep(0.01)
    await house.kill_runner()
    again = await house.order(ack(ref))
    assert (again.status, again.changed) == ("succeeded", False)
    first = await house.gate.action(action.id or "")
    assert (first.status, first.changed) == ("abandoned", True)
    assert peers[0].orders == ["POST /silences"]


async def test_the_same_key_acts_once_and_only_for_the_same(house: House, am: Alertmanager, ref: str) -> None:
    keyed = Consent(confirmed=True, idempotency_key="k")
    first = await house.order(ack(ref, HOUR), keyed)
    assert (await house.order(ack(ref, HOUR), keyed)).id == first.id
    assert (await refused(house, ack(ref, 2 * HOUR), keyed)).exit_code == 6


async def test_nothing_from_a_read_only_context(house: House, ref: str, peers: list[FakeAlertmanager]) -> None:
    house.under(read_only=True)
    assert (await refused(house, ack(ref))).exit_code == 3
    assert peers[0].orders == []


def test_what_is_hidden_is_called_by_its_name_and_not_by_its_group() -> None:
    """`hides 1 alert: streams now` was said of DeadLetters."""
    one = Alert(
        ref="r/1", backend="r", fingerprint="1", name="DeadLetters", severity="warning", state="firing",
        group="streams",
    )  # fmt: skip
    assert _named([one]) == "1 alert: DeadLetters"
    assert _named([one, replace(one, labels={"service": "etl"})]) == "2 alerts: DeadLetters, DeadLetters service=etl"
