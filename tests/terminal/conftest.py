"""One sandbox for all tests in a terminal, and a way to open the console on it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.terminal.harness import Terminal
from tests.warm import Job, called

TEAL = str(Path(sys.executable).with_name("teal"))
_FROM_OUTSIDE = ("PATH", "PYTHONPATH", "TZ")

Opener = Callable[..., Terminal]


class Sandbox:
    """A sandbox in a state directory of its own."""

    def __init__(self, state: Path, *, bake: str = "") -> None:
        """`bake`: how long a flip bakes; empty: as long as in any sandbox."""
        self.state = state
        kept = {name: os.environ[name] for name in _FROM_OUTSIDE if name in os.environ}
        self.env = {**kept, "HOME": str(state), "LANG": "C.UTF-8", "TERM": "xterm-256color"}
        self.env |= {"TEAL_STATE_DIR": str(state), "COLORTERM": "truecolor", "TEAL_CONTEXT": "sandbox"}
        self.env |= {"TEAL_SANDBOX_BAKE": bake} if bake else {}

    def teal(self, *arguments: str, code: int = 0) -> str:
        """Run `teal` without a terminal; what it printed."""
        done = called(Job("tests.warm_teal", "main", list(arguments), self.env), within_s=90)
        assert done.returncode == code, done.stderr
        return done.stdout

    @property
    def actions(self) -> list[dict[str, Any]]:
        """Every action that there ever was, newest first."""
        items: list[dict[str, Any]] = msgspec.json.decode(self.teal("action", "list", "-o", "json"))["items"]
        return items

    @property
    def switch(self) -> bytes:
        """The switch file as it is."""
        return (self.state / "sandbox" / "switch.json").read_bytes()


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running sandbox that the tests share; whoever changes it restores it. It ends with them: its pipelines run
    for as long as it is there."""
    found = Sandbox(tmp_path_factory.mktemp("state"), bake="2s")
    found.teal("sandbox", "start")
    yield found
    found.teal("sandbox", "stop")


@pytest.fixture
def console(sandbox: Sandbox) -> Iterator[Opener]:
    """`console(*arguments, columns=, rows=, env={}, …)` opens `teal` in a terminal; nothing of it outlives the test."""
    with ExitStack() as stack:

        def opened(*arguments: str, env: dict[str, str | None] | None = None, **how: Any) -> Terminal:
            own: dict[str, str | None] = {"TEAL_CONTEXT": None} if "-c" in arguments else {}
            merged = {name: value for name, value in {**sandbox.env, **own, **(env or {})}.items() if value is not None}
            return stack.enter_context(Terminal([TEAL, *arguments], merged, **how))

        yield opened
