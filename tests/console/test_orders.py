"""What an order takes along from the config to the journal, and from there to a runner."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from actions.models import Consent, Request
from backends.deployments.file_switch import FileSwitch
from backends.models import Finding, RollbackOffer
from console.config.load import load_config, pick_context
from console.orders import Orders
from console.ports.deployments import DEPLOYMENTS
from console.reading.adapters import Adapters
from tests.backends.faulty_server import FaultyServer
from tests.two_colors import TwoColors

TOKEN = "Zx81SpectrumToken"
FLIP = Request(kind="flip", service="analytics")


def written(service: TwoColors, notify: str) -> Path:
    path = service.directory / "config.toml"
    urls = ", ".join(f'{color} = "{service.url(color)}"' for color in ("blue", "green"))
    path.write_text(f"""
default_context = "c"
[contexts.c]
[[contexts.c.deployments]]
name = "analytics"
type = "file-switch"
path = "switch.json"
probe = {{ url = "{service.url("router")}", header = "X-Environment" }}
health = {{ {urls} }}
bake = "200ms"
{notify}
""")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("check_entries", [True, False])
async def test_those_who_are_told_come_from_the_config_and_no_secret_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_entries: bool
) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    async with TwoColors(tmp_path) as service, FaultyServer() as receiver:
        monkeypatch.setenv("HOOK_URL", f"{receiver.url}/{TOKEN}")
        notify = f"""
[[contexts.c.notify]]
type = "webhook"
url = {{ env = "HOOK_URL" }}
timeout = "3s"
[[contexts.c.notify]]
name = "broken"
type = "slack"
webhook = "https://hooks.example.com/{TOKEN}"
"""
        config = load_config(written(service, notify), check_entries=check_entries)
        context = pick_context(config, None)
        adapters = Adapters(context)
        orders = Orders(context, adapters)
        try:
            plan = await orders.plan(FLIP)
            entry = (await orders.targets.switch("analytics")).entry
            told = [(each.type, each.name, each.config) for each in entry.notify]
            assert told == [
                ("webhook", "webhook", {"url": {"env": "HOOK_URL"}, "timeout": "3s"}),
                ("slack", "broken", {}),
            ]
            assert TOKEN.encode() not in msgspec.json.encode(plan)
            action = await orders.submit(plan, Consent(confirmed=True), foreground=True)
            async for seen in orders.watch(str(action.id)):
                action = seen
            assert action.status == "succeeded"
        finally:
            await orders.aclose()
            await adapters.aclose()
        assert [json.loads(request.body)["what"] for request in receiver.requests] == ["started", "succeeded"]
        orders = Orders(context, adapters)
        missed = [record for record in await orders.audit_records() if record.step == "notify"]
        await orders.aclose()
        assert [record.result for record in missed] == [
            "notify.broken was not told: started",
            "notify.broken was not told: succeeded",
        ]
        for file in (tmp_path / "state").rglob("*"):
            assert not file.is_file() or TOKEN.encode() not in file.read_bytes()


async def test_the_way_back_of_a_service_is_what_its_switch_says_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`deploy status` said `ready, at once` where `deploy rollback` was refused."""
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))

    async def refused(*_: object) -> list[Finding]:
        return [Finding(level="block", code="nginx-config", text="nginx refuses its configuration", fix="correct it")]

    async def offered(adapters: Adapters, orders: Orders) -> RollbackOffer | None:
        try:
            return (await orders.enrich(await adapters.of(DEPLOYMENTS, "analytics").deployment())).rollback
        finally:
            await orders.aclose()
            await adapters.aclose()

    async with TwoColors(tmp_path) as service:
        path = written(service, "")
        context = pick_context(load_config(path), None)
        adapters = Adapters(context)
        orders = Orders(context, adapters)
        action = await orders.submit(await orders.plan(FLIP), Consent(confirmed=True), foreground=True)
        async for seen in orders.watch(str(action.id)):
            action = seen
        offer = await offered(adapters, orders)
        assert offer is not None
        assert (offer.to, offer.ready, offer.instant) == ("blue", True, True)

        monkeypatch.setattr(FileSwitch, "preflight", refused)
        adapters = Adapters(context)
        offer = await offered(adapters, Orders(context, adapters))
        assert offer is not None
        assert (offer.to, offer.ready, offer.instant) == ("blue", False, False)
        assert "nginx refuses its configuration" in offer.reason

        adapters = Adapters(context)
        unasking = Orders(context, adapters)
        unasking.unasked = "a check does not show it"
        offer = await offered(adapters, unasking)
        assert offer is not None
        assert (offer.ready, offer.instant, "a check does not show it" in offer.reason) == (True, False, True)

        path.write_text(path.read_text().replace("[contexts.c]\n", "[contexts.c]\nread_only = true\n"))
        context = pick_context(load_config(path), None)
        adapters = Adapters(context)
        offer = await offered(adapters, Orders(context, adapters))
        assert offer is not None
        assert (offer.ready, offer.instant, "read-only" in offer.reason) == (True, False, True)


async def test_no_switch_is_asked_for_what_a_check_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `teal check` ran the `validate` of each service for a way back that none of its answers has."""
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    asked = tmp_path / "asked"

    def teal(*words: str) -> None:
        command = [sys.executable, "-m", "console.cli.main", *words, "-c", str(path)]
        subprocess.run(command, capture_output=True, timeout=60, check=False)

    async with TwoColors(tmp_path) as service:
        path = written(service, "")
        path.write_text(
            path.read_text().replace('type = "file-switch"', f'type = "file-switch"\nvalidate = ["touch", "{asked}"]')
        )
        path.chmod(0o600)
        await asyncio.to_thread(teal, "deploy", "flip", "analytics", "-y", "--foreground")
        assert asked.exists()
        for words, is_asked in ((("check", "deployments"), False), (("deploy", "status"), True)):
            asked.unlink()
            await asyncio.to_thread(teal, *words)
            assert asked.exists() is is_asked, words
            asked.touch()
