"""Every piece of config that the papers and the heads of the adapters show is one: its keys exist, its values fit."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from backends.registry import ADAPTERS
from console.config.schema import config_schema

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```toml\n(.*?)^```", flags=re.S | re.M)


def pieces() -> Iterator[Any]:
    for paper in sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]):
        for number, block in enumerate(BLOCK.findall(paper.read_text(encoding="utf-8"))):
            yield pytest.param(_whole(block), id=f"{paper.name}-{number}")
    for key, place in ADAPTERS.items():
        for number, block in enumerate(BLOCK.findall(import_module(place.partition(":")[0]).__doc__ or "")):
            entry = block if "[[" in block else f"[[contexts.production.{key.partition('.')[0]}]]\n{block}"
            yield pytest.param(entry, id=f"{key}-{number}")


def _whole(block: str) -> str:
    """With the entry that a table inside of a deployment is of."""
    entry = "[[contexts.production.deployments]]"
    inside = "contexts.production.deployments." in block and entry not in block
    return f'{entry}\ntype = "haproxy"\n{block}' if inside else block


@pytest.mark.parametrize("block", pieces())
def test_a_piece_of_config_fits(block: str) -> None:
    data = tomllib.loads(block)
    if "contexts" in data:
        wrong = [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(data)]
        assert wrong == []


@cache
def validator() -> Draft202012Validator:
    """As the schema, but for what has to be there: a piece leaves out what it is not about."""
    schema = config_schema()
    _required_no_more(schema, keep=("type",))
    return Draft202012Validator(schema)


def _required_no_more(node: Any, keep: tuple[str, ...]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("required"), list):
            node["required"] = [key for key in node["required"] if key in keep]
        for inner in node.values():
            _required_no_more(inner, keep)
    elif isinstance(node, list):
        for inner in node:
            _required_no_more(inner, keep)


def test_a_key_that_is_none_is_found() -> None:
    checks = [{"type": "tcp", "host": "db", "prot": 5432}]
    assert list(validator().iter_errors({"contexts": {"production": {"checks": checks}}}))
