"""Which dashboard a row has, and the time that it opens with."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from backends.models import Alert, PipelineRun, QualityScore
from console.ports.dashboards import AROUND, dashboard_of
from console.ports.links import LinkRow, Links

AT = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
SERVICE = "https://g/d/1/service?orgId=1&var-service={service}"
ROW = LinkRow(pipeline="nightly", datasets=("customers",), services=("analytics",))


def alert(**labels: str) -> Alert:
    return Alert(
        ref="g/1", backend="g", fingerprint="1", name="A", severity="critical", state="firing", since=AT, labels=labels
    )


def asked(page: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}


def ms(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def test_an_alert_that_fires_is_shown_from_before_it_began_until_now() -> None:
    page = dashboard_of(alert(service="a b&c"), Links(dashboards={"service": SERVICE}))
    assert page.startswith("https://g/d/1/service?")
    assert asked(page) == {"orgId": "1", "var-service": "a b&c", "from": ms(AT - AROUND), "to": "now"}


def test_what_has_ended_is_shown_until_after_its_end() -> None:
    run = PipelineRun(
        ref="a/nightly/1", backend="a", pipeline="nightly", run_id="1", state="failed", started_at=AT,
        ended_at=AT + timedelta(hours=2),
    )  # fmt: skip
    page = dashboard_of(run, Links(dashboards={"pipeline": "https://g/d/2"}))
    assert asked(page) == {"from": ms(AT - AROUND), "to": ms(AT + timedelta(hours=2) + AROUND)}


def test_what_a_row_names_itself_comes_before_what_is_linked_with_it() -> None:
    pages = {"service": SERVICE, "dataset": "https://g/d/3?var-dataset={dataset}"}
    links = Links(rows=(ROW,), dashboards=pages)
    assert asked(dashboard_of(alert(dataset="customers"), links))["var-dataset"] == "customers"
    only_service = Links(rows=(ROW,), dashboards={"service": SERVICE})
    assert asked(dashboard_of(alert(dataset="customers"), only_service))["var-service"] == "analytics"
    assert dashboard_of(alert(dataset="another"), only_service) == ""
    assert dashboard_of(alert(dataset="customers"), Links(rows=(ROW,))) == ""


def test_a_score_without_a_time_is_shown_as_the_dashboard_opens() -> None:
    score = QualityScore(
        ref="q/customers", backend="q", dataset="customers", score=0.5, warn=0.9, crit=0.8, state="critical"
    )
    assert dashboard_of(score, Links(dashboards={"dataset": "https://g/d/3#a"})) == "https://g/d/3#a"


@pytest.mark.parametrize("pages", [{"service": "ftp://g"}, {"service": "https://u:p@g/d"}, {"host": "https://g"}])
def test_what_can_be_no_page_is_refused(pages: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"dashboards": pages}, Links)
