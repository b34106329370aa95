"""What `teal check` says of a panel: the reason of what is bad, and what is well only because it is hidden."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from backends.models import Alert, CheckResult, Deployment, PipelineRun, RollbackOffer
from console.check_results import check_results
from console.ports.store import Snapshot, SourceKey
from console.printing.tables import View, item_table, reasons
from tests.console.fakes import NOW, alert, deployment, run


class Read:
    """A session that has read these items."""

    def __init__(self, panel: str, *items: Alert | Deployment | PipelineRun, fetched_at: datetime = NOW) -> None:
        key = SourceKey(panel, "one")
        self._read = [Snapshot(key=key, type="fixed", items=items, fetched_at=fetched_at)]

    def sources(self) -> list[Snapshot]:
        return self._read


def words(session: Read) -> str:
    (result,) = check_results(session)
    return result.message


def judged(item: Deployment) -> CheckResult:
    (result,) = check_results(Read("deployments", item, fetched_at=datetime.now(UTC)))
    return result


def test_a_dead_live_color_is_named() -> None:
    found = deployment(live="green")
    dead = replace(found.colors["green"], healthy=False)
    said = words(Read("deployments", replace(found, colors={**found.colors, "green": dead})))
    assert said.startswith("analytics live GREEN, GREEN is not healthy")


def test_an_error_rate_that_nobody_judged_is_not_well() -> None:
    found = deployment(live="green")
    green = replace(found.colors["green"], rps=None, error_pct=None, rates_pending=True)
    result = judged(replace(found, colors={**found.colors, "green": green}))
    assert (result.state, result.message) == ("unknown", "analytics GREEN: error rate not judged")
    assert [datum.label for datum in result.perfdata] == ["total"], "none is said to be well"
    quiet = replace(green, rates_pending=False, rps=0.0)
    result = judged(replace(found, colors={**found.colors, "green": quiet}))
    assert (result.state, result.message) == ("ok", "1 ok; analytics GREEN: no requests, so no error rate")


@pytest.mark.parametrize(
    ("failed", "state", "words"),
    [
        (2, "warning", "analytics live GREEN, GREEN: 2 of 2 requests failed, too few to judge"),
        (0, "ok", "1 ok; analytics GREEN: too few requests for an error rate"),
    ],
)
def test_a_share_of_few_requests_is_no_verdict(failed: int, state: str, words: str) -> None:
    """Critical, 100 % of its requests fail: of one request or two. And 0 % of two is no proof that none fail."""
    found = deployment(live="green")
    green = replace(found.colors["green"], rps=0.2, requests=2, failed=failed, error_pct=50.0 * failed)
    result = judged(replace(found, colors={**found.colors, "green": green}))
    assert (result.state, result.message) == (state, words)
    down = replace(green, healthy=False, detail="HTTP 503")
    result = judged(replace(found, colors={**found.colors, "green": down}))
    assert (result.state, "GREEN is not healthy: HTTP 503" in result.message) == ("critical", True)


def test_an_unknown_layer_says_why() -> None:
    found = deployment(live="green")
    lost = replace(found.truth.data, value="unknown", detail="no answer of the probe")
    said = words(Read("deployments", replace(found, truth=replace(found.truth, data=lost))))
    assert "no answer of the probe" in said


@pytest.mark.parametrize(("healthy", "word"), [(False, "is not healthy"), (None, "is not known to be healthy")])
def test_a_side_without_traffic_that_is_no_way_back_says_why(healthy: bool | None, word: str) -> None:
    found = deployment(live="green")
    idle = replace(found.colors["blue"], healthy=healthy, detail="HTTP 200, not JSON")
    item = replace(found, colors={**found.colors, "blue": idle})
    said = words(Read("deployments", item))
    assert (item.health, said) == ("warning", f"analytics live GREEN, BLUE {word}: HTTP 200, not JSON")
    assert reasons([item]) == [f"analytics: BLUE {word}: HTTP 200, not JSON"]


@pytest.mark.parametrize(("ready", "cell"), [(False, "BLUE not ready"), (True, "BLUE ready, not proven")])
def test_a_way_back_that_is_not_at_once_says_why_below_the_table(ready: bool, cell: str) -> None:
    item = deployment(live="green", rollback=RollbackOffer(to="blue", ready=ready, reason="nginx refuses it"))
    assert cell in item_table(Deployment, [item], View(NOW, UTC))[1]
    assert reasons([item]) == ["analytics: back to BLUE: nginx refuses it"]
    assert reasons([deployment(live="green")]) == []


def test_what_several_backends_call_the_same_is_told_apart() -> None:
    """`load failed: …; load failed: …` was of two systems."""
    east = replace(run("load", "1", "failed", error="no table"), backend="east", ref="east/load/1")
    west = replace(east, backend="west", ref="west/load/1", error="no rights")
    alone = replace(run("etl", "1", "failed", error="exit 1"), backend="west", ref="west/etl/1")
    said = words(Read("pipelines", east, west, alone))
    assert said == "east: load failed: no table; west: load failed: no rights; etl failed: exit 1"
    assert words(Read("pipelines", east, alone)) == "load failed: no table; etl failed: exit 1"


def test_hidden_alerts_are_no_plain_ok() -> None:
    hidden = [alert("A", "critical", 5, state=state) for state in ("acknowledged", "silenced")]
    calm = alert("Watchdog", "none", 5)
    assert words(Read("alerts", calm, *hidden)) == "1 ok, 1 acknowledged, 1 silenced"
