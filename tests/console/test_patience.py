"""A journal that is well is not called frozen where it is this host that is late."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actions.journal.journal import Journal
from backends.errors import BackendError
from console.config.load import load_config, pick_context
from console.orders import Orders
from console.patience import waited_for
from console.reading.adapters import Adapters


@pytest.fixture
async def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Orders]:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    (config := tmp_path / "config.toml").write_text('[contexts.c]\ntitle = "t"\n')
    config.chmod(0o600)
    context = pick_context(load_config(config), "c")
    writer = Orders(context, Adapters(context))
    await writer.note("there is a journal")
    await writer.aclose()
    orders = Orders(context, Adapters(context))
    orders.patience_s = 0.2
    yield orders
    await orders.aclose()


async def test_a_library_that_loads_slowly_is_not_the_journal_s_silence(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = threading.Event(), Journal._open
    monkeypatch.setattr("console.patience.LONGEST", 1000.0)
    monkeypatch.setattr(Journal, "_open", lambda journal: loaded.wait(30) and load(journal))
    asked = asyncio.create_task(orders.actions())
    await asyncio.sleep(orders.patience_s * 3)
    assert not asked.done()
    loaded.set()
    assert await asked == []


async def test_a_host_that_never_comes_to_ask_is_late_and_the_journal_not_frozen(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = threading.Event(), Journal._open
    monkeypatch.setattr(Journal, "_open", lambda journal: loaded.wait(30) and load(journal))
    with pytest.raises(BackendError) as caught:
        await orders.actions()
    loaded.set()
    assert "journal.db: not asked yet: this host " in caught.value.message
    assert "server" not in caught.value.fix
    assert "frozen" not in caught.value.fix


async def test_of_a_file_no_server_is_said(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    await orders.actions()
    answered = threading.Event()
    monkeypatch.setattr("actions.journal.sql.SqlJournal.actions", lambda *_, **__: answered.wait(30) and [])
    with pytest.raises(BackendError) as caught:
        await orders.actions()
    answered.set()
    assert "no answer in 0.2 s" in caught.value.message
    assert caught.value.fix == "see whether its file system hangs"


async def test_a_busy_loop_does_not_use_patience_up() -> None:
    async def answer() -> str:
        time.sleep(0.5)  # what an import does to the loop
        await asyncio.sleep(0.05)
        return "well"

    asking: asyncio.Future[Any] = asyncio.ensure_future(answer())
    late_s = await waited_for(asking, 0.3, lambda: True)
    assert (asking.done(), late_s > 0.3) == (True, True)
