"""An incident and the alerts that opened it are one thing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backends.models import Alert, Incident
from console import moment
from console.ports.incidents import remembering, tied
from console.ports.store import Snapshot, SourceError, SourceKey
from panels.kinds.alerts import ALERTS, apart, fold, over_words, reason

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)


def alert(number: int, *, state: Any = "firing", name: str = "Slow", **labels: str) -> Alert:
    return Alert(
        ref=f"am/{number}", backend="am", fingerprint=f"f{number}", name=name, severity="critical", state=state,
        since=NOW - timedelta(hours=1), labels={"alertname": name, "severity": "critical", **labels},
        source_url=f"http://prometheus/{number}",
    )  # fmt: skip


def incident(ref: str = "pd/1", *, keys: tuple[str, ...] = (), firing: int = 1, **labels: str) -> Alert:
    own = Incident(
        id=ref[3:], ref=ref, number=7, service="Data", assigned=("Alice",), alerts=1, alerts_firing=firing, keys=keys
    )
    return Alert(
        ref=ref, backend="pd", fingerprint=ref[3:], name="Slow", severity="critical", state="firing", since=NOW,
        labels={"service": "Data", "alertname": "Slow", "severity": "critical", **labels}, incident=own,
    )  # fmt: skip


def read(name: str, *items: Alert, ago: float = 0.0, error: SourceError | None = None) -> Snapshot:
    return Snapshot(
        key=SourceKey("alerts", name), type=name, items=items, fetched_at=NOW - timedelta(seconds=ago), error=error
    )


def openers(*snapshots: Snapshot) -> dict[str, tuple[str, ...]]:
    return {
        each.ref: each.incident.opened_by
        for items in tied(snapshots).values() for each in items if each.incident and each.incident.ref == each.ref
    }  # fmt: skip


@pytest.mark.parametrize("key", ["f1", "am/1", "http://prometheus/1"])
def test_the_key_or_the_link_that_its_sender_gave_names_the_alert(key: str) -> None:
    assert openers(read("pd", incident(keys=(key,))), read("am", alert(1, a="1"), alert(2, a="2"))) == {
        "pd/1": ("am/1",)
    }


def test_all_labels_that_both_have_are_alike() -> None:
    found = openers(
        read("pd", incident(dataset="customers", score="0.5")),
        read("am", alert(1, dataset="customers", service="web"), alert(2, dataset="orders")),
    )
    assert found == {"pd/1": ("am/1",)}


def test_a_group_of_an_alertmanager_is_one_incident() -> None:
    found = openers(
        read("pd", incident(cluster="eu")),
        read("am", *(alert(n, cluster="eu", instance=str(n)) for n in range(3)), alert(9, cluster="us")),
    )
    assert found == {"pd/1": ("am/0", "am/1", "am/2")}


def test_a_name_alone_says_not_which_one_it_is() -> None:
    assert openers(read("pd", incident()), read("am", alert(1, dataset="customers"))) == {"pd/1": ()}
    assert openers(read("pd", incident(dataset="x")), read("am", alert(1, name="Other", dataset="x"))) == {"pd/1": ()}


def test_they_are_one_row_and_unfolded_all_are_there() -> None:
    items = tied([read("pd", incident(dataset="a")), read("am", alert(1, dataset="a"), alert(2, dataset="b"))])
    all_ = [*items["am"], *items["pd"]]
    one, other = fold(all_)
    assert [each.ref for each in one.alerts] == ["pd/1", "am/1"]
    assert [each.ref for each in other.alerts] == ["am/2"]
    assert {group.first.ref for group in apart(all_)} == {"pd/1", "am/1", "am/2"}
    assert [len(ALERTS.counted(group)) for group in (one, other)] == [1, 1]


def test_an_alert_is_free_again_when_its_incident_is_gone() -> None:
    items = tied([read("pd", incident(dataset="a")), read("am", alert(1, dataset="a"))])
    assert items["am"][0].incident is not None
    assert tied([read("pd"), read("am", *items["am"])])["am"] == (alert(1, dataset="a"),)


def later(pd: tuple[Alert, ...], *am: Alert, **source: Any) -> Alert:
    """The incident when both sources were read once more."""
    fresh = remembering([incident(dataset="a")], read("pd", *pd))
    (found,) = tied([read("pd", *fresh), read("am", *am, **source)])["pd"]
    return found


def test_an_alert_that_is_over_leaves_its_incident_open() -> None:
    began = tied([read("pd", incident(dataset="a")), read("am", alert(1, state="silenced", dataset="a"))])["pd"]
    assert not began[0].is_over
    over = later(began, ago=5)
    assert over.is_over
    assert (over.health, over_words(over, UTC)[:38]) == ("warning", "alert over, incident still open since ")
    assert reason(fold([over])[0]).startswith("alert over, incident still open since")
    still = later((over,))
    assert still.incident is not None
    assert over.incident is not None
    assert still.incident.over_since == over.incident.over_since
    assert not later((over,), alert(1, dataset="a")).is_over, "it fires again"


@pytest.mark.parametrize(
    "source", [{"ago": 3600.0}, {"error": SourceError(kind="unreachable", message="gone", fix="look")}]
)
def test_what_a_source_does_not_tell_is_not_over(source: dict[str, Any]) -> None:
    began = tied([read("pd", incident(dataset="a")), read("am", alert(1, dataset="a"))])["pd"]
    assert not later(began, **source).is_over


def test_what_was_never_seen_is_not_over() -> None:
    assert not later((), ago=1).is_over


def test_another_incident_of_the_same_alert_begins_anew() -> None:
    began = tied([read("pd", incident(dataset="a")), read("am", alert(1, dataset="a"))])["pd"]
    own = began[0].incident
    assert own is not None
    before = replace(began[0], incident=replace(own, id="another"))
    assert remembering([incident(dataset="a")], read("pd", before)) == (incident(dataset="a"),)


def test_five_thousand_are_tied_in_no_time() -> None:
    incidents = [incident(f"pd/{n}", dataset=str(n)) for n in range(50)]
    alerts = [alert(n, dataset=str(n)) for n in range(5000)]
    found = openers(read("pd", *incidents), read("am", *alerts))
    assert all(opened_by == (ref.replace("pd", "am"),) for ref, opened_by in found.items())
