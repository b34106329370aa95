"""`nginx` on a real nginx: the contract in both modes, and what only it does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.nginx import NginxConfig, NginxSwitch
from backends.deployments.switch_format import StampedForm
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.backends.deployments_contract import BLUE, Meddle, Sicken, SwitchContract
from tests.live.nginx import Nginx, nginx
from tests.live.process import until
from tests.two_colors import COLORS, TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("nginx")]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as service:
        yield service


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.aclose()


def switch_of(service: TwoColors, http: Http, server: Nginx, **config: Any) -> NginxSwitch:
    base = service.directory
    entry = {
        **server.entry({color: service.ports[color] for color in COLORS}),
        "health": {color: service.url(color) for color in COLORS},
        "probe": {"url": server.url, "header": "X-Environment"},
        **config,
    }
    found: NginxSwitch = build("deployments", "nginx", entry, AdapterContext("analytics", base, base / "own", http))
    return found


def form_of(adapter: NginxSwitch) -> StampedForm:
    config: NginxConfig = adapter._config
    return StampedForm(config.colors, "#", config.made().body)


def write(adapter: NginxSwitch, server: Nginx, weights: dict[str, int], stamp: str = "other:1") -> None:
    """Into the file, as another console would; nothing is reloaded."""
    before = server.include.read_bytes() if server.include.exists() else b""
    server.include.write_bytes(form_of(adapter).write(before, weights, stamp, datetime.now(UTC)))


def runs_what_is_written(adapter: NginxSwitch) -> bool:
    with contextlib.suppress(BackendError):
        return not asyncio.run(adapter.observe()).detail
    return False


async def settled(adapter: NginxSwitch) -> None:
    """Until file and process agree."""
    await asyncio.to_thread(until, lambda: runs_what_is_written(adapter), "nginx runs what is written")


@pytest.fixture
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Nginx]:
    """Not started: it needs the include first."""
    with nginx(tmp_path / "nginx", mode=getattr(request, "param", "upstream")) as server:
        yield server


class _OverNginx(SwitchContract):
    @pytest.fixture
    async def adapter(self, service: TwoColors, http: Http, server: Nginx) -> AsyncIterator[NginxSwitch]:
        adapter = switch_of(service, http, server)
        write(adapter, server, BLUE)
        await asyncio.to_thread(server.start)
        await settled(adapter)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, adapter: NginxSwitch, server: Nginx) -> Meddle:
        def meddle(weights: dict[str, int]) -> None:
            write(adapter, server, weights)
            server.reload()
            until_in_thread(adapter)

        return meddle

    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        def sicken(color: str) -> None:
            service.faults[color].status, service.faults[color].word = 503, "unhealthy"

        return sicken


def until_in_thread(adapter: NginxSwitch) -> None:
    """`settled` for a caller inside a running loop, which may be held up for a moment: nginx asks it nothing."""
    import threading

    thread = threading.Thread(target=until, args=(lambda: runs_what_is_written(adapter), "nginx reloaded"))
    thread.start()
    thread.join()


@pytest.mark.parametrize("server", ["upstream"], indirect=True)
class TestUpstream(_OverNginx):
    pass


@pytest.mark.parametrize("server", ["split_clients"], indirect=True)
class TestSplitClients(_OverNginx):
    pass
