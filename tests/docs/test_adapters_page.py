"""The check of docs/adapters.md is the one of examples/adapter, which is installed and passes the suite of its port in
tests/console/test_wheel.py."""

import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from console.config.keys import words_of

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "adapters.md").read_text(encoding="utf-8")
EXAMPLE = REPOSITORY / "examples" / "adapter"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [found.groups() for found in BLOCK.finditer(PAGE)]


def test_the_check_of_the_page_is_that_of_the_example() -> None:
    assert ("python", (EXAMPLE / "acme_teal" / "queue.py").read_text(encoding="utf-8")) in BLOCKS


def test_so_is_the_line_by_which_it_is_found() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [shown] = [tomllib.loads(text) for kind, text in BLOCKS if kind == "toml"]
    assert shown["project"]["entry-points"] == project["entry-points"]


def test_its_keys_have_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    for module in ("acme_teal", "acme_teal.queue"):
        monkeypatch.setitem(sys.modules, module, sys)  # forgotten at the end: another test has one of that name
        del sys.modules[module]
    assert len(words_of(import_module("acme_teal.queue").QueueConfig)[1]) == 5
