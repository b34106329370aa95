"""What every adapter of the port `Alerts` does. An adapter's test class inherits this and gives three fixtures:

`adapter` (a fresh one over a system where nothing fires, closed afterwards), `raise_alerts`: makes the system have
exactly these alerts, and `lose`: makes the system go away.
"""

import asyncio
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from backends.errors import BackendError
from backends.models import Alert
from backends.ports import Alerts


class Raised(NamedTuple):
    """An alert named `DataQualityDegradation`, critical, firing at once, about one dataset."""

    dataset: str
    score: float = 0.5


NAME = "DataQualityDegradation"
RaiseAlerts = Callable[[list[Raised]], None]
Lose = Callable[[], None]


def by_dataset(alerts: list[Alert]) -> dict[str, Alert]:
    found = {alert.labels["dataset"]: alert for alert in alerts}
    assert len(found) == len(alerts)
    return found


class AlertsContract:
    async def test_nothing_fires(self, adapter: Alerts) -> None:
        assert await adapter.alerts() == []

    async def test_an_alert(self, adapter: Alerts, raise_alerts: RaiseAlerts) -> None:
        began = datetime.now(UTC)
        raise_alerts([Raised("customers", 0.5)])
        (alert,) = await adapter.alerts()
        assert (alert.name, alert.severity, alert.state, alert.health) == (NAME, "critical", "firing", "critical")
        assert alert.labels["dataset"] == "customers"
        assert "0.5" in alert.summary
        assert alert.ref == f"{alert.backend}/{alert.fingerprint}"
        assert len(alert.fingerprint) >= 8
        assert set(alert.fingerprint) <= set(string.hexdigits)
        assert alert.since is not None
        assert alert.since.utcoffset() == timedelta(0)
        assert began - timedelta(seconds=60) <= alert.since <= datetime.now(UTC) + timedelta(seconds=60)

    async def test_an_alert_stays_itself_while_it_lasts(self, adapter: Alerts, raise_alerts: RaiseAlerts) -> None:
        raise_alerts([Raised("customers", 0.5), Raised("transactions", 0.5)])
        first = by_dataset(await adapter.alerts())
        raise_alerts([Raised("transactions", 0.4), Raised("customers", 0.3)])
        second = by_dataset(await adapter.alerts())
        assert {name: alert.ref for name, alert in first.items()} == {name: alert.ref for name, alert in second.items()}
        assert {name: alert.since for name, alert in first.items()} == {
            name: alert.since for name, alert in second.items()
        }
        assert first["customers"].ref != first["transactions"].ref
        assert "0.3" in second["customers"].summary

    async def test_a_resolved_alert_is_gone_and_begins_anew(self, adapter: Alerts, raise_alerts: RaiseAlerts) -> None:
        raise_alerts([Raised("customers")])
        (before,) = await adapter.alerts()
        raise_alerts([])
        assert await adapter.alerts() == []
        raise_alerts([Raised("customers")])
        (after,) = await adapter.alerts()
        assert after.fingerprint == before.fingerprint
        assert before.since is not None
        assert after.since is not None
        assert after.since > before.since

    async def test_strings_from_outside_are_clean(self, adapter: Alerts, raise_alerts: RaiseAlerts) -> None:
        raise_alerts([Raised("cust\x1b[31momers\u202e\n" + "x" * 5000)])
        (alert,) = await adapter.alerts()
        assert alert.labels["dataset"].startswith("customers x")
        assert len(alert.labels["dataset"]) <= 512
        assert all(text.isprintable() for text in (alert.summary, alert.ref, *alert.labels.values()))

    async def test_markup_and_braces_in_data_are_text(self, adapter: Alerts, raise_alerts: RaiseAlerts) -> None:
        raise_alerts([Raised("[bold]{value}{dataset}[/bold]")])
        (alert,) = await adapter.alerts()
        assert alert.labels["dataset"] == "[bold]{value}{dataset}[/bold]"

    async def test_a_lost_system_is_an_error_that_says_what_to_do(
        self, adapter: Alerts, raise_alerts: RaiseAlerts, lose: Lose
    ) -> None:
        raise_alerts([Raised("customers")])
        await adapter.alerts()
        lose()
        with pytest.raises(BackendError) as caught:
            await adapter.alerts()
        assert caught.value.kind in ("unreachable", "timeout")
        assert caught.value.message.isprintable()
        assert caught.value.fix

    async def test_reads_side_by_side_agree(self, adapter: Alerts, raise_alerts: RaiseAlerts) -> None:
        raise_alerts([Raised("customers"), Raised("transactions")])
        first, *others = await asyncio.gather(*(adapter.alerts() for _ in range(5)))
        again = await adapter.alerts()
        assert [alert.ref for alert in first] == [alert.ref for alert in again]
        assert all([alert.ref for alert in other] == [alert.ref for alert in first] for other in others)

    async def test_closing_twice(self, adapter: Alerts) -> None:
        await adapter.alerts()
        await adapter.aclose()
        await adapter.aclose()
