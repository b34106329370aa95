"""The alert that a Prometheus fires and its Alertmanager has is one alert."""

from datetime import UTC, datetime, timedelta
from typing import Any

from backends.models import Alert
from console.ports.same_alerts import NOT_ARRIVED, without_arrived

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def alert(name: str = "HighErrorRate", *, state: str = "firing", minutes: float = 10, **labels: str) -> Alert:
    told: dict[str, Any] = {"alertname": name, **labels}
    return Alert(
        ref=f"prom/{name}/{labels}", backend="prom", fingerprint=str(labels), name=name, severity="critical",
        state=state, since=NOW - timedelta(minutes=minutes), labels=told, summary="5 %",
    )  # fmt: skip


def test_what_has_arrived_is_shown_once_also_with_external_labels() -> None:
    rule = alert(service="analytics")
    assert without_arrived([rule], [alert(service="analytics", cluster="eu")], NOW) == ()


def test_another_label_set_of_the_same_name_is_another_alert() -> None:
    rules = [alert(service="analytics"), alert(service="model")]
    (left,) = without_arrived(rules, [alert(service="analytics")], NOW)
    assert left.labels["service"] == "model"
    assert left.summary == f"{NOT_ARRIVED}: 5 %"
    assert left.health == "critical"


def test_pending_and_blind_ones_stay_as_they_are() -> None:
    rules = [alert(state="pending", a="1"), alert(state="unknown", a="2")]
    assert without_arrived(rules, [alert(a="1"), alert(a="2")], NOW) == tuple(rules)


def test_one_that_has_just_begun_is_on_its_way() -> None:
    rule = alert(minutes=1)
    assert without_arrived([rule], [], NOW) == (rule,)


def test_it_is_said_once() -> None:
    once = without_arrived([alert()], [], NOW)
    assert without_arrived(once, [], NOW) == once


def test_five_thousand_of_one_name_are_matched_by_hash_not_pair_by_pair() -> None:
    rules = [alert(instance=str(number)) for number in range(5000)]
    arrived = [alert(instance=str(number), cluster="eu") for number in range(0, 5000, 2)]
    left = without_arrived(rules, arrived, NOW)
    assert [item.labels["instance"] for item in left] == [str(number) for number in range(1, 5000, 2)]
