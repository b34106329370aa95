"""What is kept where: in the journal where that may be written, else beside the snapshots; and nothing waits for it."""

import asyncio
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.journal.episodes import Book, Episode, remembered
from backends.errors import BackendError
from backends.models import CheckResult, PipelineRun, QualityScore
from console import moment
from console.config.edited import ConfigFiles, EditedEntries
from console.config.load import load_config
from console.ports.entry import Entry
from console.ports.store import Snapshot, SourceError, SourceKey, Store
from console.reading import remembering
from console.reading.episode_file import FILE_NAME, EpisodeFile
from console.reading.remembering import Edited, Remembering

NAMES = {"checks": ["router"], "pipelines": ["local"], "quality": ["scores"], "alerts": [], "deployments": []}
ORIGINS = {f"{port}.{name}": "here" for port, names in NAMES.items() for name in names}


class FakeJournal:
    """A journal that may be away, or never answer."""

    def __init__(self) -> None:
        self.rows: list[Episode] = []
        self.error: BackendError | None = None
        self.hangs = False
        self.writes = 0

    async def write(self, news: Sequence[Episode]) -> bool:
        self.writes += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.error is not None:
            raise self.error
        self.rows = remembered(self.rows, news)
        return True

    async def ask(self, since: datetime, until: datetime) -> Book:
        if self.error is not None:
            raise self.error
        return Book(episodes=self.rows)


class Desk:
    """A session's memory with its store, read by hand."""

    def __init__(
        self, directory: Path, journal: FakeJournal | None, *, kept: bool = True, edited: Edited | None = None
    ) -> None:
        self.store, self.file = Store(), EpisodeFile(directory, lambda: ORIGINS)
        entries = {
            port: [Entry(port=port, name=name, type="fake", data={}) for name in names] for port, names in NAMES.items()
        }
        self.memory = Remembering(
            self.store, entries, lambda: self.file,
            ask=journal.ask if journal else None, write=journal.write if journal and kept else None,
            edited=edited,
        )  # fmt: skip

    async def read(self, panel: str, *items: Any, error: str = "", ago_s: float = 0.0) -> bool:
        key = SourceKey(panel, NAMES[panel][0])
        at = moment.utc_now() - timedelta(seconds=ago_s)
        found = SourceError("unreachable", error, "") if error else None
        self.store.put(Snapshot(key=key, type="fake", items=items, fetched_at=at, error=found))
        return await self.memory.look()

    async def told(self) -> list[tuple[str, bool]]:
        now = moment.utc_now()
        book = await self.memory.episodes(now - timedelta(hours=1), now)
        return [(each.ref, each.until is None) for each in book.episodes]


def check(state: str) -> CheckResult:
    return CheckResult(ref="router", name="router", state=state, message="502")


ENDED = moment.utc_now() - timedelta(minutes=5)


def run(state: str = "success", **fields: Any) -> PipelineRun:
    return PipelineRun(
        ref="local/etl/1", backend="local", pipeline="etl", run_id="1", state=state, ended_at=ENDED, **fields,
    )  # fmt: skip


async def test_it_is_in_the_journal_and_nothing_is_left_beside_the_snapshots(tmp_path: Path) -> None:
    journal = FakeJournal()
    desk = Desk(tmp_path, journal)
    assert await desk.read("checks", check("critical"))
    assert not await desk.read("checks", check("critical"))
    assert [each.until for each in journal.rows] == [None]
    await desk.read("checks", check("ok"))
    assert [each.until is None for each in journal.rows] == [False]
    assert not (tmp_path / FILE_NAME).exists()
    assert journal.writes == 2


CONFIG = """[[contexts.prod.checks]]
type = "http"
name = "router"
url = "http://127.0.0.1:1/"
timeout = "1s"

[[contexts.prod.metrics]]
type = "prometheus"
url = "http://127.0.0.1:2/"
timeout = "1s"
"""


async def test_of_an_edited_config_only_what_it_tells_otherwise_is_not_kept(tmp_path: Path) -> None:
    """W5: three consoles that stood open recorded nothing any more once any key of the config was edited."""
    journal, config = FakeJournal(), tmp_path / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    context = load_config(config, check_entries=False).contexts["prod"]
    edited = EditedEntries(ConfigFiles([config], look_s=0), config, "prod", context.entries).edited
    desk = Desk(tmp_path, journal, edited=edited)
    assert await desk.read("checks", check("critical"))
    config.write_text(CONFIG.replace(':2/"\ntimeout = "1s', ':2/"\ntimeout = "90s'))
    assert await desk.read("checks", check("ok"))
    config.write_text(CONFIG.replace(":1/", ":1234/"))
    assert not await desk.read("checks", check("critical"))
    config.write_text("[half a")
    assert await desk.read("checks", check("critical"))
    config.write_text(CONFIG.replace("prod", "another"))
    assert not await desk.read("checks", check("ok"))
    assert [each.until is None for each in journal.rows] == [False, True]
    assert journal.writes == 3
    assert not (tmp_path / FILE_NAME).exists()


async def test_a_second_console_writes_no_row_again_and_ends_what_the_first_one_began(tmp_path: Path) -> None:
    journal = FakeJournal()
    first, second = Desk(tmp_path, journal), Desk(tmp_path, journal)
    await first.read("checks", check("critical"))
    await second.read("checks", check("critical"))
    assert len(journal.rows) == 1
    third = Desk(tmp_path, journal)  # the first is gone meanwhile
    await third.read("checks", check("ok"))
    assert [each.until is None for each in journal.rows] == [False]
    await second.read("checks", check("ok"))
    assert len(journal.rows) == 1


async def test_who_looks_all_the_time_ends_what_another_saw_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = FakeJournal()
    looking, once = Desk(tmp_path, journal), Desk(tmp_path, journal)
    await looking.read("checks", check("ok"))
    await once.read("checks", check("critical"))
    monkeypatch.setattr(remembering, "KNOWN_FOR", timedelta(0))
    await looking.read("checks", check("ok"))
    assert [each.until is None for each in journal.rows] == [False]


@pytest.mark.parametrize("kept", [True, False])
async def test_where_the_journal_can_not_be_written_it_is_beside_the_snapshots(tmp_path: Path, kept: bool) -> None:
    journal = FakeJournal()
    journal.error = BackendError("auth", "journal: read-only")
    desk = Desk(tmp_path, journal, kept=kept)
    await desk.read("checks", check("critical"))
    assert await desk.told() == [("router", True)]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    later = Desk(tmp_path, journal, kept=kept)  # of another process
    await later.read("checks", check("ok"))
    assert await later.told() == [("router", False)]
    assert journal.rows == []


async def test_what_could_not_be_written_is_once_the_journal_is_back(tmp_path: Path) -> None:
    journal = FakeJournal()
    journal.error = BackendError("unreachable", "journal: gone")
    desk = Desk(tmp_path, journal)
    await desk.read("checks", check("critical"))
    journal.error = None
    await desk.read("pipelines", run("failed"))
    assert [each.ref for each in journal.rows] == ["local/etl/1", "router"]
    assert len(await desk.told()) == 2


async def test_what_has_waited_is_written_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "AT_ONCE", 2)
    journal = FakeJournal()
    journal.error = BackendError("timeout", "journal: locked")
    desk = Desk(tmp_path, journal)
    await desk.read("checks", *(replace(check("critical"), ref=f"c{number}", name=f"c{number}") for number in range(5)))
    journal.error, journal.writes = None, 0
    await desk.read("pipelines", run("failed"))
    assert (journal.writes, len(journal.rows)) == (3, 6)


async def test_a_journal_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "WRITE_S", 0.05)
    journal = FakeJournal()
    journal.hangs = True
    desk = Desk(tmp_path, journal)
    await desk.read("checks", check("critical"))
    assert [each.ref for each in desk.file.read().episodes] == ["router"]


async def test_a_disk_that_is_full_costs_the_memory_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk = Desk(tmp_path / "file" / "none", None)
    assert await desk.read("checks", check("critical"))
    assert await desk.told() == [("router", True)]


async def test_what_is_judged_by_another_source_has_not_ended_before_that_one_has_answered(tmp_path: Path) -> None:
    journal = FakeJournal()
    bad = run(data="critical", data_reason="orders 0.70")
    await Desk(tmp_path, journal).read("pipelines", bad)
    good = run(data="ok")
    later = Desk(tmp_path, journal)
    assert not await later.read("pipelines", good)  # nobody has read the scores yet
    await later.read("quality", ago_s=3600)  # and what lay on disk is none that was read
    assert not await later.read("pipelines", good)
    await later.read("quality", error="refused")
    assert [each.until for each in journal.rows if each.kind == "run"] == [None]
    assert not await later.read("pipelines", good)
    score = QualityScore(
        ref="q/orders", backend="q", dataset="orders", score=0.99, warn=0.95, crit=0.8, state="ok",
        evaluated_at=moment.utc_now(), passed=1, total=1, failures=(), trend=(),
    )  # fmt: skip
    await later.read("quality", score)
    next_run = run().__class__(
        ref="local/etl/2", backend="local", pipeline="etl", run_id="2", state="success", ended_at=moment.utc_now()
    )
    assert await later.read("pipelines", next_run, run())
    assert [each.until for each in journal.rows if each.kind == "run"] == [next_run.ended_at]


async def test_what_no_source_of_the_config_tells_of_does_not_go_on(tmp_path: Path) -> None:
    journal = FakeJournal()
    at = moment.utc_now() - timedelta(minutes=9)
    journal.rows = [
        Episode(
            source="checks.gone", kind="check", ref="gone", state="critical", subject="gone", text="check gone",
            since=at, seen_at=at,
        )
    ]  # fmt: skip
    assert await Desk(tmp_path, journal).told() == [("gone", False)]


async def test_the_console_keeps_beside_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "SETTLE_S", 0.0)
    journal, told = FakeJournal(), asyncio.Event()
    desk = Desk(tmp_path, journal)
    desk.memory.changed = told.set
    running = asyncio.create_task(desk.memory.run())
    key = SourceKey("checks", "router")
    desk.store.put(Snapshot(key=key, type="http", items=(check("critical"),), fetched_at=moment.utc_now()))
    await asyncio.wait_for(told.wait(), 10)
    running.cancel()
    assert [each.ref for each in journal.rows] == ["router"]
