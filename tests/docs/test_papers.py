"""The papers name what is there: links lead somewhere, and the contract has the commands and words of the code."""

import re
from pathlib import Path
from typing import get_args

import click
import pytest

from actions.models import ActionStatus
from console.cli.commands import commands, teal

ROOT = Path(__file__).parents[2]
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OF_NOW = [paper for paper in PAPERS if paper.name != "CHANGELOG.md"]
PACKAGES = ("actions", "backends", "console", "panels")
CONTRACT = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(paper: Path) -> None:
    text = re.sub(r"```.*?```", "", paper.read_text(encoding="utf-8"), flags=re.S)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    lost = [link for link in links if not _is_there(paper, link)]
    assert lost == []


def _is_there(paper: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = paper.parent / name if name else paper
    if not target.exists():
        return False
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.M) if anchor else []
    return not anchor or anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", OF_NOW, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(paper: Path) -> None:
    named = re.findall(
        r"`((?:actions|backends|console|panels|tests|docs|benchmarks)/[\w/]+\.\w+|\w+\.py)`", paper.read_text("utf-8")
    )
    modules = {path.name for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    lost = [name for name in named if not ((ROOT / name).exists() if "/" in name else name in modules)]
    assert lost == []


def test_what_the_source_says_of_the_contract_is_there() -> None:
    headings = set(re.findall(r"^## (.+)$", CONTRACT, flags=re.M))
    named = {
        section
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for section in re.findall(
            r"docs/contract\.md, ([A-Z][a-z]*(?: [a-z]+)?|JSON)\b", path.read_text(encoding="utf-8")
        )
    }
    assert named
    assert named <= headings


def test_the_contract_has_every_command() -> None:
    tree = CONTRACT.partition("## Command line")[2].partition("All take")[0]
    words = set(re.findall(r"[a-z]+", tree))
    context = click.Context(teal)
    tree_of = {name: teal.get_command(context, name) for name in commands()}
    below = {
        name for group in tree_of.values() if isinstance(group, click.Group) for name in group.list_commands(context)
    }
    assert set(tree_of) | below <= words


def test_the_contract_has_every_status_of_an_action() -> None:
    assert [status for status in get_args(ActionStatus) if status not in CONTRACT] == []
