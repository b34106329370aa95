"""Imports point down: no circle of modules, and none of wings, also counting what is imported late or for types only.

A wing is a folder of a package; a module at the root of a package stands for itself, since the root holds both what all
share and what holds all together. `pytest -s tests/test_import_graph.py` prints the size of the graph.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("actions", "backends", "console", "panels")
Graph = dict[str, set[str]]


def modules_of(package: str, root: Path = ROOT) -> dict[str, Path]:
    """Dotted names of the modules of a package, and their files. A package without code of its own is none."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if path.name != "__init__.py" or path.read_text(encoding="utf-8").strip():
            found[name] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, at its top or within."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph_of(package: str, root: Path = ROOT) -> Graph:
    """Which modules of the package each of its modules imports."""
    modules = modules_of(package, root)

    def known(name: str) -> str:
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name

    return {name: {found for each in imported(path) if (found := known(each)) not in ("", name)}
            for name, path in modules.items()}  # fmt: skip


def wings_of(graph: Graph, package: str) -> Graph:
    """The same graph with each folder as one; what is at the root of the package stays itself."""

    def wing(name: str) -> str:
        above = name.rpartition(".")[0]
        return name if above in ("", package) else above

    merged: Graph = defaultdict(set)
    for name, below in graph.items():
        merged[wing(name)] |= {wing(each) for each in below} - {wing(name)}
    return {name: {each for each in below if each in merged} for name, below in merged.items()}


def circles(graph: Graph) -> list[list[str]]:
    """What reaches itself again (strongly connected components of more than one, by Kosaraju)."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str, edges: Graph, out: list[str]) -> None:
        seen.add(name)
        for each in sorted(edges.get(name, ())):
            if each not in seen:
                visit(each, edges, out)
        out.append(name)

    for name in sorted(graph):
        if name not in seen:
            visit(name, graph, order)
    back: Graph = defaultdict(set)
    for name, below in graph.items():
        for each in below:
            back[each].add(name)
    seen.clear()
    found = []
    for name in reversed(order):
        if name not in seen:
            visit(name, back, group := [])
            found.append(sorted(group))
    return [group for group in found if len(group) > 1]


def floors(graph: Graph) -> int:
    """The longest way down, in modules."""
    height: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in height:
            height[name] = 0  # a circle ends here
            height[name] = 1 + max((of(each) for each in graph[name] if each in graph), default=0)
        return height[name]

    return max(map(of, graph), default=0)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_and_no_arrow_up(package: str) -> None:
    graph = graph_of(package)
    wings = wings_of(graph, package)
    folders = sorted({name.rpartition(".")[0] or package for name in graph})
    print(f"\n{package}: {len(graph)} rooms in {len(folders)} folders, {floors(graph)} floors, "
          f"{sum(map(len, graph.values()))} arrows")  # fmt: skip
    for folder in folders:
        own = {name: below for name, below in graph.items() if (name.rpartition(".")[0] or package) == folder}
        inside = sum(len(below & own.keys()) for below in own.values())
        print(f"  {folder}: {len(own)} rooms on {floors(own)} floors, {inside} arrows inside")
    assert circles(graph) == []
    assert circles(wings) == []


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    package = tmp_path / "house"
    for folder in (package, package / "cellar", package / "roof"):
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    (package / "cellar" / "wine.py").write_text("def late():\n    from house.roof import tiles\n")
    (package / "cellar" / "coal.py").write_text("")
    (package / "roof" / "tiles.py").write_text("from house.cellar.coal import *\n")
    graph = graph_of("house", tmp_path)
    assert graph["house.cellar.wine"] == {"house.roof.tiles"}
    assert circles(graph) == []
    assert circles(wings_of(graph, "house")) == [["house.cellar", "house.roof"]]
    (package / "cellar" / "coal.py").write_text("import house.roof.tiles\n")
    assert circles(graph_of("house", tmp_path)) == [["house.cellar.coal", "house.roof.tiles"]]
