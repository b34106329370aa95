"""`teal trace`: what is asked of each source, and what is said where one has nothing or no answer."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends import registry
from backends.errors import BackendError
from backends.models import Trace, TraceTree
from backends.ports import TraceQuery
from console import moment
from console.cli.commands import teal
from console.cli.ending import run_command
from tests.console import fixed_adapters
from tests.console.fixed_adapters import NOW, FixedTraces, before

ID = "a" * 32
CONFIG = """
[contexts.production]
timezone = "Europe/Berlin"
[[contexts.production.traces]]
name = "one"
type = "asked"
[[contexts.production.traces]]
name = "two"
type = "lost"
"""
queries: list[tuple[str, TraceQuery | str]] = []


class AskedTraces(FixedTraces):
    async def search(self, query: TraceQuery) -> list[Trace]:
        queries.append((self.name, query))
        return await super().search(query)

    async def trace(self, trace_id: str) -> TraceTree:
        queries.append((self.name, trace_id))
        return await super().trace(trace_id)


class LostTraces(AskedTraces):
    async def search(self, query: TraceQuery) -> list[Trace]:
        raise BackendError("unreachable", "http://tempo: connection refused")

    async def trace(self, trace_id: str) -> TraceTree:
        raise BackendError("unreachable", "http://tempo: connection refused")


class House:
    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys, self._patch = capsys, patch
        self.config = directory / "config.toml"
        self.holds(CONFIG)

    def holds(self, text: str) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)

    def said(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        self._patch.setattr("sys.argv", ["teal", *arguments])
        code = run_command(teal, list(arguments))
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def told(self, *arguments: str) -> Any:
        return json.loads(self.said(*arguments, "-o", "json")[1])


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> House:
    queries.clear()
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TEAL_CONFIG", str(tmp_path / "config.toml"))
    own = {"traces.asked": f"{__name__}:AskedTraces", "traces.lost": f"{__name__}:LostTraces"}
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, **fixed_adapters.ADAPTERS, **own})
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)
    return House(tmp_path, capsys, monkeypatch)


def test_what_is_asked_for_is_what_was_typed(house: House) -> None:
    code, out, err = house.said(
        "trace", "list", "--service", "shop", "--errors", "--min-duration", "500ms", "--since", "13:00",
        "--until", "13:30", "--limit", "5",
    )  # fmt: skip
    begin = NOW.replace(hour=12, minute=0, second=0)
    query = TraceQuery(
        since=begin, until=begin + timedelta(minutes=30), service="shop", errors=True, min_duration_s=0.5, limit=5
    )
    assert queries[0] == ("one", query)
    assert (code, len(out.splitlines())) == (0, 1)
    assert "two: http://tempo: connection refused" in err


def test_without_anything_the_last_hour_and_a_lost_source_is_said(house: House) -> None:
    found = house.told("trace", "list")
    assert isinstance(query := queries[0][1], TraceQuery)
    assert (query.since, query.until, query.limit, query.errors) == (before(hours=1), NOW, 20, False)
    assert (found["schema"], found["health"], found["partial"]) == ("teal/v1/trace.list", "unknown", True)
    assert [(source["name"], source["ok"]) for source in found["sources"]] == [("one", True), ("two", False)]
    (item,) = found["items"]
    assert (item["ref"], item["state"], item["span_count"], item["errors"]) == (f"one/{ID}", "warning", 5, 1)
    assert "spans" not in item
    assert house.said("trace", "list", "--strict")[0] == 7


@pytest.mark.parametrize("typed", [ID, f"one/{ID}", f"00-{ID}-00f067aa0ba902b7-01"])
def test_a_trace_by_its_id_its_ref_and_a_traceparent(house: House, typed: str) -> None:
    found = house.told("trace", "show", typed)
    assert queries == [("one", ID)]
    (item,) = found["items"]
    assert [span["depth"] for span in item["spans"]] == [0, 1, 1, 2, 2]
    assert [span["service"] for span in item["spans"] if span["first_error"]] == ["bank"]


def test_the_tree_as_text_and_the_way_to_its_log_lines(house: House) -> None:
    out = house.said("trace", "show", f"one/{ID}")[1]
    assert "first error: deadline exceeded" in out
    assert f"logs  teal -C production log --since 2026-11-21T12:56:31Z --until 2026-11-21T12:58:33Z --grep {ID}" in out


def test_one_that_is_not_there_is_not_told_of_where_a_source_may_have_it(house: House) -> None:
    assert house.said("trace", "show", "b" * 32)[0] == 7
    code, _, err = house.said("trace", "show", "one/" + "b" * 32)
    assert (code, "no trace" in err) == (5, True)
    assert house.said("trace", "show", f"three/{ID}")[0] == 5


def test_where_there_is_no_source(house: House) -> None:
    house.holds("[contexts.production]\n")
    code, _, err = house.said("trace", "list")
    assert (code, "no source of traces" in err) == (0, True)
    assert house.said("trace", "show", ID)[0] == 5


def test_times_that_can_not_be(house: House) -> None:
    assert house.said("trace", "list", "--since", "soon")[0] == 2
    assert house.said("trace", "list", "--since", "2026-11-21T13:30", "--until", "2026-11-21T13:00")[0] == 2
