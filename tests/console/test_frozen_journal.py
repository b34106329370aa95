"""A journal whose server takes the connection and never answers: each command that looks says what is live, in time."""

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.console.test_orphan_commands import said
from tests.two_colors import TwoColors


@pytest.fixture
async def teal(tmp_path: Path) -> AsyncIterator[Teal]:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        async with TwoColors(tmp_path) as service:
            config = written(service, "")
            url = f"postgresql://teal@127.0.0.1:{frozen.getsockname()[1]}/journal"
            config.write_text(config.read_text().replace("[contexts.c]", f'[contexts.c]\njournal = "{url}"'))
            yield Teal(tmp_path, config)


@pytest.mark.parametrize(
    ("words", "code"), [(("status",), 0), (("deploy", "status"), 0), (("check",), 3), (("action", "list"), 7)]
)
async def test_what_is_live_is_said_in_time(teal: Teal, words: tuple[str, ...], code: int) -> None:
    began = time.monotonic()
    ended, out, err = await said(teal, *words, "--timeout", "3")
    assert time.monotonic() - began < 3 + 3, "the interpreter starts and ends, too, on a busy host"
    silent = any(words in out + err for words in ("no answer in 1.5 s", "not asked yet: this host"))  # a busy host
    assert (ended, silent) == (code, True), (out, err)
    live = {"check": "UNKNOWN: deployments: analytics live BLUE", "action": ""}
    assert live.get(words[0], "BLUE") in out, out
