"""Every word that an override may be is known: one that no finding is called is a mistake, and not a wish of later."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from actions.overrides import KNOWN, is_known

ROOT = Path(__file__).parents[2]


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _codes(path: Path) -> Iterator[str]:
    """What findings of that file are called that an override goes past."""
    tree = ast.parse(path.read_text())
    for function in _functions(tree):
        for call in ast.walk(function):
            given = {word.arg: word.value for word in call.keywords} if isinstance(call, ast.Call) else {}
            passes = given.get("overridable")
            if passes is not None and not (isinstance(passes, ast.Constant) and passes.value is False):
                yield from _values(given["code"], function, tree, path)


def _values(
    node: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef, tree: ast.AST, path: Path
) -> Iterator[str]:
    """What `node` may be: itself, a constant of the module, or what the function is called with."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
        return
    if isinstance(node, ast.JoinedStr):
        counted = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
        assert is_known(counted), f"{path}: {counted}"
        return
    assert isinstance(node, ast.Name), ast.dump(node)
    named = [argument.arg for argument in function.args.args]
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if node.id in named:
        place = named.index(node.id)
        for caller in _functions(tree):
            for call in ast.walk(caller):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == function.name:
                    yield from _values(call.args[place], caller, tree, path)
    elif hasattr(module, node.id):
        yield getattr(module, node.id)
    else:
        assert path.name == "alerts.py", f"{path}: {node.id}"  # `matches-N`


def test_each_finding_that_an_override_goes_past_is_known() -> None:
    files = [path for part in ("actions", "backends", "console") for path in (ROOT / part).rglob("*.py")]
    found = {code for path in files if "overridable=" in path.read_text() for code in _codes(path)}
    assert found == KNOWN


@pytest.mark.parametrize(
    ("word", "known"),
    [("matches-12", True), ("linked-9", True), ("matches-", False), ("linked", False), ("frobnicate", False)],
)
def test_a_count_is_known_and_a_misspelt_word_is_not(word: str, known: bool) -> None:
    assert is_known(word) is known
