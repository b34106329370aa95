"""The notifier `sentry` against a Sentry in this process: a release as it starts, its deploy once it has succeeded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backends.errors import BackendError
from backends.http import Http
from backends.ports import ActionEvent, EventKind
from backends.testing.notify import SECRET, event
from tests.backends.fake_sentry import FakeSentry
from tests.backends.test_notify import OverHttp, made

FAULTS = {"hang": "hang", "refuse": "500", "close": "no answer", "": ""}
TOKEN = f"sntrys_{SECRET}"


def released(what: EventKind = "succeeded", **told: Any) -> ActionEvent:
    return event(what, **{"kind": "release", "service": "shop", "version": "2.4.1", **told})


class Deploys:
    def __init__(self, fake: FakeSentry) -> None:
        self.fake = fake

    def arrived(self) -> list[str]:
        return [str(deploy["name"]) for _, deploy in self.fake.deploys]

    def fail(self, how: str) -> None:
        self.fake.fault = FAULTS[how]

    async def stop(self) -> None:
        await self.fake.stop()


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSentry]:
    monkeypatch.setenv("SENTRY_TOKEN", TOKEN)
    async with FakeSentry(token=TOKEN, scopes={"project:read", "project:releases"}) as fake:
        yield fake
        assert fake.complaints == []


def entry_of(fake: FakeSentry, **config: Any) -> dict[str, Any]:
    own = {"url": fake.url, "token": {"env": "SENTRY_TOKEN"}, "organization": "acme", "projects": ["shop"]}
    return {**own, **config}


class TestSentry(OverHttp):
    @pytest.fixture
    def system(self, fake: FakeSentry) -> Deploys:
        return Deploys(fake)

    @pytest.fixture
    def entry(self, fake: FakeSentry) -> tuple[str, dict[str, Any]]:
        return "sentry", entry_of(fake)

    def event(self, what: EventKind = "failed", **told: Any) -> ActionEvent:
        """A release that has succeeded, with the words of the other."""
        return replace(event(what, **told), what="succeeded", kind="release", service="shop", version="2.4.1")


async def test_a_release_is_made_when_it_starts_and_deployed_when_it_has_succeeded(
    fake: FakeSentry, http: Http, tmp_path: Path
) -> None:
    fake.projects = {"shop": 1, "web-api": 2, "model": 3}
    config = {"projects": ["shop", "web-api", "model"], "services": {"web-api": "shop"}}
    notifier = made("sentry", http, tmp_path, **entry_of(fake, **config))
    await notifier.notify(released("started"))
    assert (fake.releases, fake.deploys) == ({"shop@2.4.1": {"shop", "web-api"}}, [])
    ended = released("succeeded", text="t" * 500)
    await notifier.notify(ended)
    ((release, deploy),) = fake.deploys
    assert release == "shop@2.4.1"
    assert (deploy["environment"], deploy["projects"], len(deploy["name"])) == ("production", ["shop", "web-api"], 64)
    assert deploy["dateFinished"] == ended.at.isoformat()


@pytest.mark.parametrize(
    "told",
    [
        released("failed"), released("rolled_back"), released("held"), released(version=""),
        event("succeeded", service="shop"), released(kind="flip"), released(service="another"),
    ],
)  # fmt: skip
async def test_what_is_no_deploy_is_not_told_as_one(
    fake: FakeSentry, http: Http, tmp_path: Path, told: ActionEvent
) -> None:
    await made("sentry", http, tmp_path, **entry_of(fake)).notify(told)
    assert fake.requests == []


async def test_its_own_environment_and_name(fake: FakeSentry, http: Http, tmp_path: Path) -> None:
    config = {"environment": "prod", "release": "v{version}"}
    await made("sentry", http, tmp_path, **entry_of(fake, **config)).notify(released())
    assert [(release, deploy["environment"]) for release, deploy in fake.deploys] == [("v2.4.1", "prod")]


async def test_the_right_that_is_missing_is_named(fake: FakeSentry, http: Http, tmp_path: Path) -> None:
    fake.scopes = {"project:read"}
    notifier = made("sentry", http, tmp_path, **entry_of(fake))
    await notifier.dry_run()
    with pytest.raises(BackendError) as caught:
        await notifier.notify(released())
    assert (caught.value.kind, caught.value.fix) == ("auth", "give the token the right project:releases")
    assert caught.value.message == "notify.mine: HTTP 403"


async def test_a_project_that_is_not_there_fails_the_dry_run(fake: FakeSentry, http: Http, tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        await made("sentry", http, tmp_path, **entry_of(fake, projects=["nothing"])).dry_run()
    assert caught.value.kind == "not_found"


async def test_what_is_gone_is_said_by_its_label(fake: FakeSentry, http: Http, tmp_path: Path) -> None:
    await fake.stop()
    with pytest.raises(BackendError) as caught:
        await made("sentry", http, tmp_path, **entry_of(fake)).notify(released())
    assert caught.value.message == "notify.mine: connection refused"


async def test_a_version_that_is_no_name_there(fake: FakeSentry, http: Http, tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        await made("sentry", http, tmp_path, **entry_of(fake)).notify(released(version="a/b"))
    assert (caught.value.kind, fake.requests) == ("config", [])


@pytest.mark.parametrize("config", [{"projects": []}, {"services": {"x": "y"}}, {"environment": "a/b"}])
def test_mistakes_of_the_config(http: Http, tmp_path: Path, config: dict[str, Any]) -> None:
    entry = {"token": {"env": "T"}, "organization": "acme", "projects": ["shop"], **config}
    with pytest.raises(BackendError) as caught:
        made("sentry", http, tmp_path, **entry)
    assert caught.value.kind == "config"
