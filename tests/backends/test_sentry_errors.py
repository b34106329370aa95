"""`sentry` errors against a server in this process, held against Sentry's own description of its API."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.issues import sentry
from backends.issues.sentry import SentryErrors
from backends.missing import collected
from backends.ports import LiveVersions
from backends.registry import AdapterContext, build
from backends.testing.errors import LIVE, ErrorsContract, Hold, Lose, Raised, Released, only
from tests.backends.fake_sentry import TOKEN, FakeSentry

Connect = Callable[..., SentryErrors]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSentry]:
    monkeypatch.setenv("SENTRY_TOKEN", TOKEN)
    async with FakeSentry() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def connect(server: FakeSentry, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(**config: Any) -> SentryErrors:
        own = {"url": server.url, "token": {"env": "SENTRY_TOKEN"}, "organization": "acme", "projects": ["shop"]}
        context = AdapterContext("sentry", tmp_path, tmp_path, http)
        adapter: SentryErrors = build("errors", "sentry", {**own, **config}, context)
        return adapter

    yield connected
    await http.aclose()


class TestSentryErrors(ErrorsContract):
    @pytest.fixture
    def adapter(self, connect: Connect) -> SentryErrors:
        return connect()

    @pytest.fixture
    def hold(self, server: FakeSentry) -> Hold:
        def raised(error: Raised) -> None:
            server.raises(
                error.title, release=f"shop@{error.version}", level=error.level, count=error.events, users=error.users,
                metadata={"filename": error.file, "function": error.function, "in_app_frame_mix": "mixed"},
                assigned={"type": "user", "id": "1", "name": error.assigned} if error.assigned else None,
                substatus="regressed" if error.is_back else "ongoing",
                last_seen=error.last_seen or datetime.now(UTC),
            )  # fmt: skip

        return raised

    @pytest.fixture
    def released(self, server: FakeSentry) -> Released:
        return lambda version: server.releases.update({f"shop@{version}": {"shop"}})

    @pytest.fixture
    def lose(self, server: FakeSentry) -> Lose:
        def gone() -> None:
            server.fault = "no answer"

        return gone


def asked(server: FakeSentry) -> list[dict[str, list[str]]]:
    """The queries for issues, in order."""
    targets = [urlsplit(each.target) for each in server.requests]
    return [parse_qs(each.query) for each in targets if each.path.endswith("/issues/")]


async def test_it_is_asked_by_ids_environment_and_window(connect: Connect, server: FakeSentry) -> None:
    server.projects = {"shop": 11, "web-api": 12}
    server.releases = {"shop@2.4.1": {"shop"}, "shop@9": {"web-api"}}
    server.raises("here", environment="prod", project="web-api", release="shop@2.4.1")
    server.raises("elsewhere", environment="staging")
    server.raises("long ago", environment="prod", last_seen=datetime.now(UTC) - timedelta(hours=7))
    adapter = connect(projects=["shop", "web-api"], services={"web-api": "shop"}, environment="prod", window="6h")
    (found,) = await adapter.issues(LIVE)
    assert (found.title, found.service, found.project) == ("here", "shop", "web-api")
    assert (found.is_new, found.reason[:46]) == (None, "Sentry does not know the release shop@2.4.1: t"), (
        "the release is there, and of another project"
    )
    assert found.ref == "sentry/WEB-API-1"
    all_, *new = asked(server)
    assert (all_["project"], all_["environment"], all_["statsPeriod"]) == (["11", "12"], ["prod"], ["360m"])
    assert [query["project"] for query in new] == [["11"]]


async def test_new_ones_are_read_also_where_there_are_too_many(
    connect: Connect, server: FakeSentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentry, "MAX_ISSUES", 6)
    server.page = 3
    server.releases = {"shop@2.4.1": {"shop"}}
    now = datetime.now(UTC)
    server.raises("new", release="shop@2.4.1", last_seen=now - timedelta(hours=2))
    for n in range(6):
        server.raises(f"old {n}", last_seen=now - timedelta(minutes=n))
    with collected() as lost:
        found = await connect().issues(LIVE)
    assert sorted(item.title for item in found) == ["new", *(f"old {n}" for n in range(6))]
    assert [item.title for item in found if item.is_new] == ["new"]
    assert ["more than 6 issues are open" in each.message for each in lost] == [True]
    server.issues.pop()
    with collected() as lost:
        assert len(await connect().issues(LIVE)) == 6
    assert lost == []


@pytest.mark.parametrize(
    ("template", "version", "release"),
    [
        ("{service}@{version}", "2.4.1", "shop@2.4.1"),
        ("{version}", "2.4.1+build.7", "2.4.1+build.7"),
        ("v{version}-{color}", '1"0*', 'v1"0*-{color}'),
    ],
)
async def test_how_a_version_is_called(
    connect: Connect, server: FakeSentry, template: str, version: str, release: str
) -> None:
    server.releases = {release: {"shop"}}
    server.raises("new", release=release)
    server.raises("old", release="another")
    found = await connect(release=template).issues({"shop": LiveVersions((version,))})
    assert {item.title: item.is_new for item in found} == {"new": True, "old": False}


@pytest.mark.parametrize(("template", "version"), [("{version}", "latest"), ("{version}", "a/b"), ("{version}", "")])
async def test_what_sentry_takes_for_another_release_is_not_asked_for(
    connect: Connect, server: FakeSentry, template: str, version: str
) -> None:
    server.releases = {version: {"shop"}}
    server.raises("KeyError", release=version)
    found = await only(connect(release=template), {"shop": LiveVersions((version,))})
    assert (found.is_new, found.health) == (None, "unknown")
    assert len(asked(server)) == 1


@pytest.mark.parametrize(
    ("lacks", "words"), [("event:read", "it lacks event:read"), ("project:read", "it lacks project:read")]
)
async def test_the_right_that_is_missing_is_named(connect: Connect, server: FakeSentry, lacks: str, words: str) -> None:
    server.scopes -= {lacks}
    with pytest.raises(BackendError) as caught:
        await connect().issues(LIVE)
    assert caught.value.kind == "auth"
    assert words in caught.value.message
    assert caught.value.fix == f"give the token the right {lacks}"
    assert TOKEN not in str(caught.value)


async def test_a_token_that_is_none(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_TOKEN", "another")
    with pytest.raises(BackendError) as caught:
        await connect().issues(LIVE)
    assert (caught.value.kind, "`url`" in caught.value.fix) == ("auth", True)


async def test_a_project_that_is_not_there_is_a_mistake_of_the_config(connect: Connect) -> None:
    with pytest.raises(BackendError) as caught:
        await connect(projects=["shop", "nothing"]).issues(LIVE)
    assert (caught.value.kind, caught.value.message) == ("config", "projects: Sentry has no nothing in acme")


async def test_states_that_are_not_known_are_unknown(connect: Connect, server: FakeSentry) -> None:
    server.releases = {"shop@2.4.1": {"shop"}}
    issue = server.raises("KeyError", culprit="app.views in show", substatus="escalating")
    found = await only(connect())
    assert (found.state, found.raw_state, found.health) == ("escalating", "unresolved/escalating", "warning")
    assert found.frame == "app.views in show"
    wire = {**server.wire(issue), "status": "haunted", "substatus": None, "level": "eerie", "metadata": {"filename": 7}}
    server.answer = lambda request: (200, [wire])
    mended = await connected_directly(connect, server, wire)
    assert (mended.state, mended.raw_state, mended.health, mended.level) == ("unknown", "haunted", "unknown", "eerie")


async def connected_directly(connect: Connect, server: FakeSentry, wire: Any) -> Any:
    """What is made of one answer that is not as Sentry describes it."""
    server.wire = lambda issue: wire
    (found,) = await connect().issues({})
    server.complaints.clear()
    return found


@pytest.mark.parametrize(
    "config",
    [
        {"projects": []}, {"projects": [""]}, {"services": {"other": "shop"}}, {"window": "1m"}, {"window": "91d"},
        {"release": "{service}"}, {"organization": " "}, {"timeout": "0s"}, {"url": "sentry.io"},
        {"url": "https://user:secret@sentry.io"}, {"token": "sntrys_literal"},
    ],
)  # fmt: skip
def test_mistakes_of_the_config(connect: Connect, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        connect(**config)
    assert caught.value.kind == "config"
