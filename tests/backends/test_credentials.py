"""Credentials of an entry: a command runs once for all who ask, again where it was refused, and never gives nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.credentials import Authentication, credentials
from backends.errors import BackendError
from backends.flight import Flight
from backends.http import Http
from backends.kubernetes.api import KubernetesApi
from backends.models import Matcher
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.settings import Secret, SecretError
from tests.backends.faulty_server import FaultyServer, Received

# As many a helper does it: the token lies in a file, which is for a moment empty while it is renewed.
HELPER = """#!/bin/sh
echo run >> runs
read -r token < token
: > token
sleep 0.2
echo fresh > token
[ -n "$token" ] && echo "$token"
"""
NOW = datetime.now(UTC)
Read = Callable[[Any], Awaitable[Any]]
PARALLEL = 4


def helper(directory: Path, token: str = "stale") -> dict[str, Any]:
    (directory / "helper").write_text(HELPER)
    (directory / "helper").chmod(0o755)
    (directory / "token").write_text(f"{token}\n")
    return {"token": {"command": ["./helper"]}}


def runs(directory: Path) -> int:
    return len((directory / "runs").read_text().splitlines())


def fresh_only(request: Received) -> tuple[int, Any]:
    if request.headers.get("authorization") != "Bearer fresh":
        return 401, {"message": "no"}
    if request.target.endswith("/version"):
        return 200, {"version": "2.11.0"}
    return 404, {"message": "nothing here"}


READS: dict[str, tuple[str, dict[str, Any], Read]] = {
    "pipelines.airflow": ("url", {}, lambda adapter: adapter.run("etl", "r1")),
    "pipelines.github-actions": ("url", {"repo": "o/r"}, lambda adapter: adapter.runs()),
    "metrics.prometheus": ("url", {}, lambda adapter: adapter.instant("up")),
    "metrics.prometheus range": (
        "url", {}, lambda adapter: adapter.range("up", start=NOW - timedelta(minutes=1), end=NOW, step=15),
    ),
    "alerts.prometheus": ("url", {}, lambda adapter: adapter.alerts()),
    "alerts.alertmanager": ("urls", {}, lambda adapter: adapter.matching((Matcher(name="a", value="b"),))),
    "logs.loki": ("url", {"query": '{a="b"}'}, lambda adapter: adapter.query(LogQuery(limit=5))),
    "logs.elasticsearch": ("url", {"index": "app"}, lambda adapter: adapter.query(LogQuery(limit=5))),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
async def test_a_refused_token_is_renewed_once_for_all(name: str, tmp_path: Path, http: Http) -> None:
    key, config, read = READS[name]
    port, _, kind = name.split(" ")[0].partition(".")
    async with FaultyServer(answer=fresh_only) as server:
        where = [server.url] if key == "urls" else server.url
        context = AdapterContext("x", tmp_path, tmp_path, http)
        adapter = build(port, kind, {key: where, "auth": helper(tmp_path), **config}, context)
        for _ in range(2):
            answers = await asyncio.gather(*(read(adapter) for _ in range(PARALLEL)), return_exceptions=True)
            kinds = {each.kind for each in answers if isinstance(each, BackendError)}
            assert not kinds & {"auth", "config"}, answers
        await adapter.aclose()
    assert runs(tmp_path) == 2, "one that was refused, and one for all of them"
    assert {each.headers["authorization"] for each in server.requests} == {"Bearer stale", "Bearer fresh"}


@pytest.mark.parametrize("name", READS)
async def test_credentials_that_stay_refused_are_not_asked_for_by_each_request(
    name: str, tmp_path: Path, http: Http
) -> None:
    key, config, read = READS[name]
    port, _, kind = name.split(" ")[0].partition(".")
    async with FaultyServer(answer=lambda _: (401, {"message": "no"})) as server:
        where = [server.url] if key == "urls" else server.url
        context = AdapterContext("x", tmp_path, tmp_path, http)
        adapter = build(port, kind, {key: where, "auth": helper(tmp_path, "fresh"), **config}, context)
        answers = await asyncio.gather(*(read(adapter) for _ in range(PARALLEL)), return_exceptions=True)
        assert [each.kind for each in answers if isinstance(each, BackendError)] == ["auth"] * PARALLEL, answers
        await adapter.aclose()
    assert runs(tmp_path) == 2


async def test_a_plugin_of_a_kubeconfig_runs_once_for_all(tmp_path: Path) -> None:
    (tmp_path / "plugin").write_text("#!/bin/sh\necho run >> runs\nsleep 0.2\necho sign in >&2\nexit 1\n")
    (tmp_path / "plugin").chmod(0o755)
    (tmp_path / "config").write_text(
        """{apiVersion: v1, kind: Config, current-context: c,
        clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"}}],
        contexts: [{name: c, context: {cluster: k, user: u}}],
        users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin}}}]}"""
    )
    api = KubernetesApi(kubeconfig="config", context="c", namespace="n", base_dir=tmp_path)
    answers = await asyncio.gather(*(api.access() for _ in range(PARALLEL)), return_exceptions=True)
    assert {str(each) for each in answers} == {str(answers[0])}
    assert "sign in" in str(answers[0])
    assert runs(tmp_path) == 1
    await api.aclose()


async def test_a_command_runs_once_for_several_entries(tmp_path: Path) -> None:
    secret = Authentication(token=Secret(command=tuple(helper(tmp_path)["token"]["command"])))
    found = await asyncio.gather(*(credentials({}, secret, tmp_path) for _ in range(PARALLEL)))
    assert {each.headers["authorization"] for each in found} == {"Bearer stale"}
    assert runs(tmp_path) == 1
    await credentials({}, secret, tmp_path)
    assert runs(tmp_path) == 2, "later ones get a newer one"


EMPTY: dict[str, tuple[dict[str, Any], str]] = {
    "command": ({"command": ["true"]}, "secret command true printed nothing"),
    "file": ({"file": "empty"}, "secret file empty is empty"),
    "variable": ({"env": "TEAL_TEST_EMPTY"}, "environment variable TEAL_TEST_EMPTY is empty"),
}


@pytest.mark.parametrize(("reference", "words"), EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("name", READS)
async def test_an_empty_secret_is_never_sent(
    name: str, reference: dict[str, Any], words: str, tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAL_TEST_EMPTY", " ")
    (tmp_path / "empty").write_text("\n")
    key, config, read = READS[name]
    port, _, kind = name.split(" ")[0].partition(".")
    async with FaultyServer() as server:
        where = [server.url] if key == "urls" else server.url
        context = AdapterContext("x", tmp_path, tmp_path, http)
        adapter = build(port, kind, {key: where, "auth": {"token": reference}, **config}, context)
        with pytest.raises(BackendError) as caught:
            await read(adapter)
        await adapter.aclose()
    assert words in caught.value.message
    assert (caught.value.kind, bool(caught.value.fix), server.requests) == ("config", True, [])


@pytest.mark.parametrize("name", ["slack", "pagerduty", "webhook", "email"])
async def test_a_notifier_without_its_secret_says_so(name: str, tmp_path: Path, http: Http) -> None:
    secret = {"command": ["true"]}
    config = {
        "slack": {"webhook": secret},
        "pagerduty": {"routing_key": secret},
        "webhook": {"url": "http://127.0.0.1:1", "headers": {"Authorization": secret}},
        "email": {"host": "127.0.0.1", "from": "a@b.c", "to": ["a@b.c"], "user": "u", "password": secret},
    }[name]
    notifier = build("notify", name, config, AdapterContext("x", tmp_path, tmp_path, http))
    with pytest.raises(SecretError, match="secret command true printed nothing"):
        await notifier.dry_run()
    await notifier.aclose()


@pytest.mark.parametrize(
    ("printed", "words"),
    [("a\\nb", "line break"), ("t\\303\\266ken", "outside ASCII"), ("a\\001b", "line break")],
)
async def test_what_no_header_can_hold_is_named(printed: str, words: str, tmp_path: Path) -> None:
    secret = Secret(command=("printf", printed))
    for headers, auth, where in (
        ({}, Authentication(token=secret), "auth.token (command printf)"),
        ({"X-Api-Key": secret}, None, "headers.X-Api-Key"),
    ):
        with pytest.raises(SecretError) as caught:
            await credentials(headers, auth, tmp_path)
        assert caught.value.message.startswith(where)
        assert words in caught.value.message


async def test_a_token_may_stand_among_blanks(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  one \n\n")
    found = await credentials({}, Authentication(token=Secret(file="token")), tmp_path)
    assert found.headers == {"authorization": "Bearer one"}


async def test_who_waits_runs_it_where_the_first_is_cancelled() -> None:
    begun = list[int]()
    may_end = asyncio.Event()

    async def run() -> int:
        begun.append(1)
        await may_end.wait()
        return len(begun)

    flight = Flight(run)
    first, second, third = (asyncio.create_task(flight()) for _ in range(3))
    while not begun:
        await asyncio.sleep(0)
    first.cancel()
    may_end.set()
    assert (await second, await third, len(begun)) == (2, 2, 2)
    assert first.cancelled()
