"""Notifiers over HTTP against a real server on loopback."""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.notify import delivery
from backends.notify.pagerduty import dedup_key
from backends.ports import Notifier
from backends.registry import AdapterContext, build
from backends.testing.notify import SECRET, NotifierContract, event, says_nothing_secret
from tests.backends.faulty_server import FaultyServer

FAULTS_OF = {"hang": "hang", "refuse": "500", "close": "no answer", "": ""}


class Endpoint:
    """A server that takes JSON; `text_of` finds the text in a body."""

    def __init__(self, server: FaultyServer, *path: str) -> None:
        self.server = server
        self._path = path
        self._failed = 0

    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.server.requests if request.body]

    def arrived(self) -> list[str]:
        found = []
        for body in self.bodies()[self._failed :]:
            for key in self._path:
                body = body[key]
            found.append(body)
        return found

    def fail(self, how: str) -> None:
        self.server.fault = FAULTS_OF[how]
        self._failed = len(self.bodies())

    async def stop(self) -> None:
        await self.server.stop()


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        server.healthy = {"status": "success"}
        yield server


@pytest.fixture
def url(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"{server.url}/services/{SECRET}?key={SECRET}2"
    monkeypatch.setenv("HOOK_URL", url)
    monkeypatch.setenv("HOOK_TOKEN", f"{SECRET}3")
    return url


def made(kind: str, http: Http, base_dir: Path, **config: Any) -> Notifier:
    context = AdapterContext("mine", base_dir, base_dir, http)
    found: Notifier = build("notify", kind, {"timeout": "30s", **config}, context)
    return found


class OverHttp(NotifierContract):
    """A test class gives `entry`: the type and its config."""

    @pytest.fixture
    def notifier(self, entry: tuple[str, dict[str, Any]], http: Http, tmp_path: Path) -> Notifier:
        return made(entry[0], http, tmp_path, **entry[1])

    @pytest.fixture
    def hasty(self, entry: tuple[str, dict[str, Any]], http: Http, tmp_path: Path) -> Notifier:
        return made(entry[0], http, tmp_path, **entry[1], timeout="500ms")


class SlackEndpoint(Endpoint):
    def arrived(self) -> list[str]:
        return [html.unescape(text) for text in super().arrived()]


class TestSlack(OverHttp):
    @pytest.fixture
    def system(self, server: FaultyServer) -> Endpoint:
        return SlackEndpoint(server, "text")

    @pytest.fixture
    def entry(self, url: str) -> tuple[str, dict[str, Any]]:
        return "slack", {"webhook": {"env": "HOOK_URL"}}

    async def test_nobody_is_called_by_a_reason(self, notifier: Notifier, system: Endpoint) -> None:
        await notifier.notify(event(text="<!channel> & <https://evil|here>"))
        assert system.bodies() == [{"text": "&lt;!channel&gt; &amp; &lt;https://evil|here&gt;"}]

    def test_a_webhook_written_out_is_refused(self, http: Http, tmp_path: Path) -> None:
        with pytest.raises(BackendError) as caught:
            made("slack", http, tmp_path, webhook=f"https://hooks.example.com/{SECRET}")
        assert SECRET not in caught.value.message

    @pytest.mark.parametrize(
        "hidden", [f"ftp://h/{SECRET}", SECRET, f"http://h:{SECRET}/x", f"http://127.0.0.1:1/{SECRET}\n"]
    )
    async def test_a_webhook_that_is_no_url_is_not_repeated(
        self, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
    ) -> None:
        monkeypatch.setenv("HOOK_URL", hidden)
        with pytest.raises(BackendError) as caught:
            await made("slack", http, tmp_path, webhook={"env": "HOOK_URL"}).notify(event())
        says_nothing_secret(caught.value)

    async def test_a_server_that_quotes_the_path_is_not_repeated(
        self, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def quote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readuntil(b"\r\n")
            writer.write(b"what is " + line + b"\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(quote, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setenv("HOOK_URL", f"http://127.0.0.1:{port}/T0/{SECRET}?token={SECRET}2")
            with pytest.raises(BackendError, match=r"what is .*\*\*\*") as caught:
                await made("slack", http, tmp_path, webhook={"env": "HOOK_URL"}).notify(event())
        assert caught.value.kind == "malformed"
        says_nothing_secret(caught.value)


class TestWebhook(OverHttp):
    @pytest.fixture
    def system(self, server: FaultyServer) -> Endpoint:
        return Endpoint(server, "text")

    @pytest.fixture
    def entry(self, url: str) -> tuple[str, dict[str, Any]]:
        headers = {"Authorization": {"env": "HOOK_TOKEN"}, "X-Team": "data"}
        return "webhook", {"url": {"env": "HOOK_URL"}, "headers": headers}

    async def test_the_event_field_for_field(self, notifier: Notifier, system: Endpoint) -> None:
        await notifier.notify(event("rolled_back"))
        (request,) = system.server.requests
        assert json.loads(request.body) == {
            "what": "rolled_back", "context": "production", "kind": "flip", "service": "analytics", "from": "blue",
            "to": "green", "by": "maria@ops1", "reason": "release 2.4", "action": "01HZX",
            "at": "2026-11-20T09:30:00Z", "text": "production: flip analytics blue → green rolled_back",
            "head": "",
            "version": "",
        }  # fmt: skip
        assert (request.method, request.target) == ("POST", f"/services/{SECRET}?key={SECRET}2")
        sent = {name: request.headers[name] for name in ("authorization", "x-team", "content-type")}
        assert sent == {"authorization": f"{SECRET}3", "x-team": "data", "content-type": "application/json"}

    @pytest.mark.parametrize(
        "config",
        [{"url": f"https://u:{SECRET}@h/"}, {"url": "file:///x"}, {"url": "http://h", "headers": {"Cookie": SECRET}}],
    )
    def test_what_is_refused(self, http: Http, tmp_path: Path, config: dict[str, Any]) -> None:
        with pytest.raises(BackendError) as caught:
            made("webhook", http, tmp_path, **config)
        assert (caught.value.kind, SECRET in caught.value.message) == ("config", False)


class TestPagerDuty(OverHttp):
    @pytest.fixture
    def system(self, server: FaultyServer) -> Endpoint:
        return Endpoint(server, "payload", "summary")

    @pytest.fixture
    def entry(self, url: str) -> tuple[str, dict[str, Any]]:
        return "pagerduty", {"routing_key": {"env": "HOOK_TOKEN"}, "url": url.partition("?")[0]}

    async def test_one_incident_is_opened_and_resolved(self, notifier: Notifier, system: Endpoint) -> None:
        for what in ("started", "failed", "rollback_failed", "succeeded", "rolled_back"):
            await notifier.notify(event(what, action=what))
        bodies = system.bodies()
        assert [body["event_action"] for body in bodies] == ["trigger", "trigger", "resolve", "resolve"]
        assert {body["dedup_key"] for body in bodies} == {"tealdeck:production/analytics"}
        assert {body["routing_key"] for body in bodies} == {f"{SECRET}3"}
        assert [body["payload"]["severity"] for body in bodies[:2]] == ["error", "critical"]
        assert bodies[0]["payload"]["custom_details"]["action"] == "failed"
        assert bodies[0]["payload"]["timestamp"] == "2026-11-20T09:30:00Z"

    def test_a_long_service_still_has_one_key(self) -> None:
        long = event(service="s" * 300)
        assert dedup_key(long) == dedup_key(event("succeeded", service="s" * 300))
        assert dedup_key(long) != dedup_key(event(service="s" * 301))
        assert len(dedup_key(long)) <= 255


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("slack", {"webhook": {"env": "HOOK_URL"}}),
        ("webhook", {"url": {"env": "HOOK_URL"}}),
        ("pagerduty", {"routing_key": {"env": "HOOK_TOKEN"}, "url": ""}),
    ],
)
@pytest.mark.parametrize(("said", "waits"), [("7", 7.0), ("", 1.0)])
async def test_who_is_limited_is_told_once_more(
    server: FaultyServer, url: str, http: Http, tmp_path: Path, kind: str, config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch, said: str, waits: float,
) -> None:  # fmt: skip
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(delivery, "sleep", sleep)
    if "url" in config and not config["url"]:
        config = {**config, "url": f"{server.url}/v2/enqueue"}
    notifier = made(kind, http, tmp_path, **config)
    server.extra_headers = {"retry-after": said} if said else {}
    server.answer = lambda request: (429 if len(server.requests) == 1 else 200, {"status": "success"})
    await delivery.deliver(notifier, event(), timeout_s=30)
    assert waited == [waits]
    first, second = (request.body for request in server.requests)
    assert first == second


@pytest.mark.parametrize(("status", "after"), [(429, "3600"), (500, ""), (403, "")])
async def test_who_refuses_or_is_limited_for_long_is_told_once(
    server: FaultyServer, url: str, http: Http, tmp_path: Path, status: int, after: str
) -> None:
    server.status, server.extra_headers = status, {"retry-after": after} if after else {}
    with pytest.raises(BackendError) as caught:
        await delivery.deliver(made("slack", http, tmp_path, webhook={"env": "HOOK_URL"}), event(), timeout_s=30)
    assert (caught.value.status, len(server.requests)) == (status, 1)
    says_nothing_secret(caught.value)


@pytest.mark.parametrize(("kind", "key"), [("slack", "webhook"), ("webhook", "url")])
async def test_the_path_of_a_webhook_is_in_no_other_message_either(
    url: str, http: Http, tmp_path: Path, kind: str, key: str
) -> None:
    await made(kind, http, tmp_path, **{key: {"env": "HOOK_URL"}}).notify(event())
    assert SECRET not in BackendError("conflict", f"deploy.sh: exit status 1: HOOK_URL={url}").message
