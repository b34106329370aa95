"""One dead or slow backend delays nothing else, keeps its last items, and says why."""

import asyncio
import stat
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from backends.errors import BackendError
from backends.missing import missing
from backends.models import CheckResult, LogEntry
from console.ports.store import Snapshot, SourceKey, Store
from console.printing.output import document, reading_exit_code
from console.reading.feeds import GAP_S, Feed, Source, read_all
from console.reading.snapshots import SnapshotFiles
from tests.own_time import Watch

OK = CheckResult(ref="api", name="api", state="ok", message="200 in 3 ms")


def feed(store: Store, name: str, fetch, **options) -> Feed:
    options.setdefault("interval_s", 60.0)
    return Feed(Source(SourceKey("checks", name), "http", fetch), store, **options)


async def answers():
    return (OK,)


async def hangs():
    await asyncio.sleep(3600)
    return ()


async def refuses():
    raise BackendError("unreachable", "db: connection refused")


async def test_a_hanging_backend_delays_nothing_else():
    store = Store()
    watch = Watch()
    in_time = await read_all([feed(store, "slow", hangs), feed(store, "fast", answers)], deadline_s=0.2)
    assert watch.seconds() < 2
    assert not in_time
    assert store.items("checks") == [OK]


async def test_what_this_host_is_late_by_itself_is_no_silence_of_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A starved processor: the answer is there, and this process comes to it late."""

    async def answers_while_the_loop_stands_still():
        time.sleep(0.4)
        await asyncio.sleep(0.02)
        return (OK,)

    store = Store()
    late = feed(store, "late", answers_while_the_loop_stands_still, deadline_s=0.25)
    assert await read_all([late], deadline_s=0.25, patient=True)
    assert store.items("checks") == [OK]
    assert store.get(late.source.key).error is None

    async def stands_still_and_hangs():
        time.sleep(0.6)
        await asyncio.sleep(60)

    silent = await feed(store, "silent", stands_still_and_hangs, deadline_s=0.2).read()
    assert silent.error.message.startswith("no answer in 0.2 s; this host was late by 0.")


@pytest.mark.parametrize(("enough", "looks"), [(1, 1), (2, 2), (3, 3), (9, 3)])
async def test_what_one_look_does_not_judge_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, enough: int, looks: int
) -> None:
    """A rate is between two looks; a command looks once, and said that all is well."""
    monkeypatch.setattr("console.reading.feeds.GAP_S", 0.0)
    store, seen = Store(), 0

    async def counts():
        nonlocal seen
        seen += 1
        return (replace(OK, message=f"look {seen}"),)

    counted = feed(store, "api", counts, more_looks=lambda item: 0 if item.message == f"look {enough}" else 2)
    assert await read_all([counted], deadline_s=5)
    assert [item.message for item in store.items("checks")] == [f"look {looks}"]


async def test_a_deadline_between_two_looks_is_no_source_that_did_not_answer() -> None:
    store = Store()
    watch = Watch()
    assert await read_all([feed(store, "api", answers, more_looks=lambda item: 2)], deadline_s=0.1)
    assert watch.seconds() < GAP_S
    assert store.items("checks") == [OK]


async def test_a_read_that_takes_too_long_is_an_error_of_that_source():
    store = Store()
    snapshot = await feed(store, "slow", hangs, deadline_s=0.05).read()
    assert snapshot.error is not None
    assert snapshot.error.kind == "timeout"
    assert snapshot.fetched_at is None
    assert snapshot.trust() == "unknown"


async def test_a_failure_keeps_the_last_items_and_their_age():
    store, broken = Store(), False

    async def sometimes():
        return await (refuses() if broken else answers())

    source = feed(store, "api", sometimes)
    first = await source.read()
    broken = True
    second = await source.read()
    assert second.items == (OK,)
    assert second.fetched_at == first.fetched_at
    assert second.error is not None
    assert second.error.message == "db: connection refused"


async def test_a_defect_in_an_adapter_is_said_and_does_not_spread():
    async def defect():
        raise KeyError("status")

    snapshot = await feed(Store(), "api", defect).read()
    assert snapshot.error is not None
    assert snapshot.error.kind == "internal"
    assert "KeyError in http" in snapshot.error.message


async def test_two_readers_share_one_read():
    reads = 0

    async def slow():
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.02)
        return (OK,)

    source = feed(Store(), "api", slow)
    await asyncio.gather(source.read(), source.read(), source.read())
    assert reads == 1


async def test_failures_back_off_and_success_ends_it():
    times, broken = [], True

    async def sometimes():
        times.append(time.monotonic())
        return await (refuses() if broken else answers())

    source = feed(Store(), "api", sometimes, interval_s=0.02)
    task = asyncio.create_task(source.run())
    while len(times) < 5:
        await asyncio.sleep(0.005)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[3] > 3 * gaps[0]
    broken = False
    source.wake()
    while len(times) < 8:
        await asyncio.sleep(0.005)
    assert times[7] - times[6] < gaps[3]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_trust_goes_from_ok_over_stale_to_unknown():
    now = datetime.now(UTC)
    fresh = Snapshot(key=SourceKey("checks", "api"), type="http", items=(OK,), fetched_at=now, interval_s=10)
    assert fresh.trust(now + timedelta(seconds=29)) == "ok"
    assert fresh.trust(now + timedelta(seconds=31)) == "warning"
    assert fresh.trust(now + timedelta(seconds=301)) == "unknown"
    assert replace(fresh, fetched_at=None).trust(now) == "unknown"


def test_snapshots_on_disk_are_private_and_come_back(tmp_path):
    files = SnapshotFiles("production", "abc", tmp_path / "cache")
    key = SourceKey("checks", "api/1")
    snapshot = Snapshot(key=key, type="http", items=(OK,), fetched_at=datetime.now(UTC), latency_ms=3.0)
    files.save(snapshot)
    assert files.load(key) == snapshot
    [directory] = (tmp_path / "cache").iterdir()
    [file] = directory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SnapshotFiles("production", "other-digest", tmp_path / "cache").load(key) is None


def test_snapshots_live_a_day_and_a_damaged_one_is_none(tmp_path):
    files = SnapshotFiles("production", "abc", tmp_path)
    key = SourceKey("checks", "api")
    old = datetime.now(UTC) - timedelta(hours=25)
    files.save(Snapshot(key=key, type="http", items=(OK,), fetched_at=old))
    assert files.load(key) is None
    next(tmp_path.rglob("*.msgpack")).write_bytes(b"\xc1 not msgpack")
    assert files.load(key) is None


def test_log_lines_are_never_kept_on_disk(tmp_path):
    files = SnapshotFiles("production", "abc", tmp_path)
    key = SourceKey("logs", "app")
    line = LogEntry(at=None, source="app", message="password=hunter2")
    files.save(Snapshot(key=key, type="files", items=(line,), fetched_at=datetime.now(UTC)))
    assert not list(tmp_path.rglob("*.msgpack"))


def test_a_full_or_read_only_disk_costs_only_the_cache(tmp_path):
    (tmp_path / "file").write_text("")
    files = SnapshotFiles("production", "abc", tmp_path / "file")
    files.save(Snapshot(key=SourceKey("checks", "api"), type="http", items=(OK,), fetched_at=datetime.now(UTC)))
    assert files.load(SourceKey("checks", "api")) is None


async def test_a_listener_that_fails_ends_no_feed(tmp_path, monkeypatch):
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    store, reads = Store(), 0

    async def counted():
        nonlocal reads
        reads += 1
        return (OK,)

    def fails(_: Snapshot) -> None:
        raise RuntimeError("a defect of a panel")

    store.listen(fails)
    task = asyncio.create_task(feed(store, "api", counted, interval_s=0.01).run())
    while reads < 3:
        await asyncio.sleep(0.005)
    task.cancel()
    assert store.items("checks") == [OK]
    (only,) = tmp_path.glob("crash-*.txt")  # though it failed three times
    assert "RuntimeError" in only.read_text()


async def test_what_a_source_could_not_read_makes_the_answer_partial_and_unknown():
    store = Store()

    async def half():
        missing(BackendError("unreachable", "peer 2: connection refused"))
        return (OK,)

    snapshot = await feed(store, "am", half).read()
    assert (snapshot.items, snapshot.error) == ((OK,), None)
    told = document("check.list", snapshot.items, context=None, snapshots=[snapshot])
    assert (told.partial, told.health) == (True, "unknown")
    assert [(error.source, error.message) for error in told.errors] == [("checks.am", "peer 2: connection refused")]
    assert reading_exit_code(told, strict=False) == 0
