"""The notifier `grafana` against annotations of a Grafana on loopback: one for each action, a region until its end."""

import html
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.notify.grafana import GrafanaNotifier
from backends.testing.notify import SECRET, FollowingContract, event
from tests.backends.fake_grafana import FakeGrafana
from tests.backends.test_notify import OverHttp, made

FAULTS = {"hang": "read hang", "refuse": "read 500", "close": "read reset", "": ""}
TOKEN = f"glsa_{SECRET}"


class Annotations:
    def __init__(self, fake: FakeGrafana) -> None:
        self.fake = fake

    def arrived(self) -> list[str]:
        return [html.unescape(each["text"]) for each in self.fake.annotations.values()]

    def kept(self) -> int:
        return len(self.fake.annotations)

    def lose(self) -> None:
        self.fake.annotations.clear()

    def fail(self, how: str) -> None:
        self.fake.fault = FAULTS[how]

    async def stop(self) -> None:
        self.fake.stop()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGrafana]:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    fake = FakeGrafana(token=TOKEN)
    fake.start()
    yield fake
    fake.stop()


def entry_of(fake: FakeGrafana, **config: Any) -> dict[str, Any]:
    return {"url": fake.base, "token": {"env": "GRAFANA_TOKEN"}, **config}


def notifier_of(fake: FakeGrafana, http: Http, tmp_path: Path, **config: Any) -> GrafanaNotifier:
    found = made("grafana", http, tmp_path, **entry_of(fake, **config))
    assert isinstance(found, GrafanaNotifier)
    return found


class TestGrafana(OverHttp, FollowingContract):
    @pytest.fixture
    def system(self, fake: FakeGrafana) -> Annotations:
        return Annotations(fake)

    @pytest.fixture
    def entry(self, fake: FakeGrafana) -> tuple[str, dict[str, Any]]:
        return "grafana", entry_of(fake)


async def test_an_action_is_a_region_from_its_start_to_its_end(fake: FakeGrafana, http: Http, tmp_path: Path) -> None:
    notifier = notifier_of(fake, http, tmp_path, dashboards=["d1", "d2"], tags=["deploy", "flip"])
    began = event("started", text="analytics <b>begins</b>")
    ended = event("succeeded", text="analytics is GREEN", at=began.at + timedelta(minutes=5))
    reference = await notifier.follow(began, "")
    assert [each["timeEnd"] - each["time"] for each in fake.annotations.values()] == [0, 0]
    assert await notifier.follow(ended, reference) == reference == "1123,1124"
    first, second = fake.annotations.values()
    assert (first["dashboardUID"], second["dashboardUID"]) == ("d1", "d2")
    assert (first["time"], first["timeEnd"]) == (began.at.timestamp() * 1000, ended.at.timestamp() * 1000)
    assert (first["text"], second["text"]) == ("analytics is GREEN", "analytics is GREEN")
    assert first["tags"] == ["tealdeck", "action:01HZX", "flip", "analytics", "production", "deploy"]


async def test_of_the_organization_no_dashboard_is_named(fake: FakeGrafana, http: Http, tmp_path: Path) -> None:
    await notifier_of(fake, http, tmp_path, org_id=7).notify(event(text="<i>x</i>"))
    (made_one,) = fake.annotations.values()
    assert (made_one["dashboardUID"], made_one["text"]) == (None, "&lt;i&gt;x&lt;/i&gt;")
    assert fake.seen[-1]["x-grafana-org-id"] == "7"


async def test_the_annotation_of_somebody_else_is_never_changed(fake: FakeGrafana, http: Http, tmp_path: Path) -> None:
    theirs = fake.annotate(text="load test", tags=["tealdeck", "action:another"])
    reference = await notifier_of(fake, http, tmp_path).follow(event("succeeded"), str(theirs))
    assert (reference != str(theirs), fake.annotations[theirs]["text"]) == (True, "load test")


async def test_a_dry_run_tells_of_a_token_that_is_refused(fake: FakeGrafana, http: Http, tmp_path: Path) -> None:
    fake.token = "another"
    with pytest.raises(BackendError) as caught:
        await notifier_of(fake, http, tmp_path).dry_run()
    assert (caught.value.kind, SECRET in caught.value.message) == ("auth", False)


@pytest.mark.parametrize("config", [{"dashboards": [""]}, {"dashboards": ["d"] * 11}, {"tags": [" "]}], ids=str)
def test_what_can_not_be_is_refused(fake: FakeGrafana, http: Http, tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        notifier_of(fake, http, tmp_path, **config)
    assert caught.value.kind == "config"


async def test_what_was_made_and_not_answered_is_found_by_its_tags(
    fake: FakeGrafana, http: Http, tmp_path: Path
) -> None:
    notifier = notifier_of(fake, http, tmp_path)
    fake.annotate(text="of another action", tags=["tealdeck", "action:01HZ"])
    made_before = await notifier.follow(event("started"), "")
    assert await notifier.follow(event("succeeded", text="over"), "") == made_before
    assert [each["text"] for each in fake.annotations.values()] == ["of another action", "over"]
