"""How what Alertmanager sends is read, and how several peers become one list. Pure functions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.alerts.alertmanager.merge import PeerRead, alert_models, merge_alerts
from backends.alerts.alertmanager.wire import WireAlert
from backends.alerts.matchers import as_filter, exact_matchers, identity_matchers, in_words, parse_matcher
from backends.errors import BackendError
from backends.models import Matcher


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"state": "active"}, "firing"),
        ({"state": "unprocessed"}, "firing"),
        ({"state": "suppressed", "inhibitedBy": ["77"]}, "inhibited"),
        ({"state": "suppressed", "mutedBy": ["nights"]}, "silenced"),
        ({"state": "suppressed", "silencedBy": ["gone"], "inhibitedBy": ["77"]}, "silenced"),
        ({"state": "napping"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_states(status: dict[str, Any], state: str) -> None:
    (alert,) = alert_models("am", [wire(status=status)], {}, ())
    assert alert.state == state
    assert alert.raw_state == status.get("state", "")


def wire(**fields: Any) -> WireAlert:
    now = datetime.now(UTC)
    usual = {"fingerprint": "77", "startsAt": now, "updatedAt": now, "labels": {"alertname": "A"}, "status": {}}
    return msgspec.convert({**usual, **fields}, WireAlert)


def test_words_are_chosen_and_cleaned() -> None:
    annotations = {"description": "long\x1b[2J", "runbook_url": "https://wiki/\u202ex", "dashboard": "no"}
    labels = {"alertname": "A", "service": "api", "severity": "page"}
    found = wire(
        annotations=annotations, labels=labels, status={"state": "active"}, generatorURL="http://prom/\x07graph"
    )
    (alert,) = alert_models("am", [found], {}, ("cluster", "service"))
    assert (alert.summary, alert.runbook_url, alert.source_url) == ("long", "https://wiki/x", "http://prom/graph")
    assert (alert.group, alert.severity, alert.health) == ("A service=api", "page", "critical")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", " JavaScript:alert(1)", "data:text/html,x", "file:///etc/passwd", ""]
)
def test_only_http_is_a_link(url: str) -> None:
    found = wire(annotations={"runbook_url": url}, generatorURL=url)
    (alert,) = alert_models("am", [found], {}, ())
    assert (alert.source_url, alert.runbook_url) == (None, None)


def test_a_runbook_in_words_stays() -> None:
    (alert,) = alert_models("am", [wire(annotations={"runbook": "the wiki, page 12"})], {}, ())
    assert alert.runbook_url == "the wiki, page 12"


def test_two_alerts_with_one_fingerprint_are_two() -> None:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    one, other = wire(labels={"alertname": "A"}), wire(labels={"alertname": "B"})
    for alerts in ([one, other], [other, one]):
        merged = merge_alerts([PeerRead("p", epoch, alerts), PeerRead("q", epoch, alerts[::-1])])
        found = {alert.name: alert.ref for alert in alert_models("am", merged, {}, ())}
        assert sorted(found) == ["A", "B"]
        assert len(set(found.values())) == 2
        assert found == {"A": found["A"], "B": found["B"]}
    assert {each.fingerprint for each in merge_alerts([PeerRead("p", epoch, [one])])} == {"77"}


def test_times_of_another_zone_are_utc() -> None:
    body = msgspec.json.encode(wire()).replace(b"+00:00", b"Z")
    found = msgspec.json.decode(body.replace(b'Z"', b'+02:00"'), type=WireAlert)
    (alert,) = alert_models("am", [found], {}, ())
    assert alert.since is not None
    assert alert.since.utcoffset() == timedelta(0)
    assert found.starts_at.utcoffset() == timedelta(hours=2)


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99), st.booleans()), max_size=8), max_size=4))
def test_merging_loses_nothing_and_never_hides_what_fires_somewhere(said: list[list[tuple[int, int, bool]]]) -> None:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    reads: list[PeerRead] = []
    heard: dict[str, list[WireAlert]] = {}
    for peer, alerts in enumerate(said):
        own = {}
        for number, age, hidden in alerts:
            status = {"state": "suppressed", "silencedBy": [f"s{peer}"]} if hidden else {"state": "active"}
            own[str(number)] = wire(
                fingerprint=str(number), startsAt=epoch + timedelta(seconds=age), status=status
            )  # fmt: skip
        reads.append(PeerRead(str(peer), epoch, list(own.values())))
        for fingerprint, alert in own.items():
            heard.setdefault(fingerprint, []).append(alert)
    merged = {alert.fingerprint: alert for alert in merge_alerts(reads)}
    assert merged.keys() == heard.keys()
    for fingerprint, alert in merged.items():
        versions = heard[fingerprint]
        assert alert.starts_at == min(each.starts_at for each in versions)
        assert (alert.status.state == "active") == any(each.status.state == "active" for each in versions)
        assert set(alert.status.silenced_by) == {by for each in versions for by in each.status.silenced_by}


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("dataset=customers", Matcher(name="dataset", value="customers")),
        ('dataset="a, b"', Matcher(name="dataset", value="a, b")),
        ("dataset!=customers", Matcher(name="dataset", value="customers", is_equal=False)),
        ("dataset=~cust.*=x", Matcher(name="dataset", value="cust.*=x", is_regex=True)),
        ("dataset !~ a|b", Matcher(name="dataset", value="a|b", is_regex=True, is_equal=False)),
        ("team!=", Matcher(name="team", value="", is_equal=False)),
    ],
)
def test_a_matcher_from_text(text: str, matcher: Matcher) -> None:
    assert parse_matcher(text) == matcher


@pytest.mark.parametrize("text", ["", "customers", "=x", "dataset=", 'dataset=""', "dataset=~", "a b=c"])
def test_what_is_no_matcher(text: str) -> None:
    with pytest.raises(ValueError, match=r"dataset|like name=value"):
        parse_matcher(text)


def test_a_matcher_as_a_filter() -> None:
    assert as_filter(Matcher(name="a", value='x"\\\n')) == 'a="x\\"\\\\\\n"'
    assert as_filter(Matcher(name="a.b", value="x", is_regex=True, is_equal=False)) == '"a.b"!~"x"'
    assert in_words([Matcher(name="a", value="x"), Matcher(name="b", value="y")]) == '{a="x", b="y"}'


def test_an_acknowledgement_matches_one_alert_and_no_other() -> None:
    labels = {"alertname": "A", "service": "s", "zone": ""}
    others = [
        {**labels, "instance": "i"},
        {**labels, "instance": "j", "pod": "p"},
        {"alertname": "A", "service": "t", "x": "y"},
    ]  # fmt: skip
    matchers = exact_matchers(labels, others)
    assert in_words(matchers) == '{alertname="A", service="s", instance!~".+", pod!~".+"}'
    assert exact_matchers(others[1], [labels, *others]) == tuple(
        Matcher(name=name, value=others[1][name]) for name in ("alertname", "instance", "pod", "service")
    )
    with pytest.raises(BackendError, match="without labels"):
        exact_matchers({"zone": ""}, others)


def test_an_acknowledgement_never_matches_everything() -> None:
    (alert,) = alert_models("am", [wire(labels={"alertname": "A", "pod": "x-1", "dataset": "d"})], {}, ())
    assert identity_matchers(alert.ref, alert.labels, ["pipeline", "dataset"]) == (
        Matcher(name="alertname", value="A"), Matcher(name="dataset", value="d"),
    )  # fmt: skip
    (nameless,) = alert_models("am", [wire(labels={"pod": "x-1"})], {}, ())
    with pytest.raises(BackendError) as caught:
        identity_matchers(nameless.ref, nameless.labels, ["pipeline", "dataset"])
    assert caught.value.kind == "config"
