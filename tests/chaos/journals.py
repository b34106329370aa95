"""Rounds of journals: two that act on one service at once, and one that breaks before the way back."""

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.journal.late import LateFile, add_late, places
from actions.journal.rows import Draft
from actions.models import Action, Refused, Request
from actions.switching.other_journal import OTHER_JOURNAL
from actions.unjournalled_rollback import run_unjournalled
from console.runners import build_described
from tests.chaos.harness import ROUND_S, YES, Chaos, Load, Outcome
from tests.chaos.lateness import TooLate, within
from tests.chaos.stage import ALL_BLUE, MARGIN_S, SEEN_S, Stage, nothing_lost, one_has_all, settled
from tests.warm import Process


async def two_journals(stage: Stage, chance: random.Random) -> Outcome:
    """The runner of one journal is killed somewhere, or lives; somebody with another journal goes on with the service.
    Forward is refused while the first has not ended, and with an override the loser writes nothing more."""
    request = await stage.request(chance)
    instant = chance.randint(1, await stage.instants(request)) if chance.random() < 0.5 else 0
    await stage.cleared()
    began = time.monotonic()
    if not instant and chance.random() < 0.5:
        stage.touch("slow-smoke")  # it surely lives while the other acts
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        mine, runner = await stage.mine.begun(request, instant)
        if instant:
            await runner.wait()
        else:
            await asyncio.sleep(chance.random() * 2)
        theirs = await _another(stage, chance, str(mine.id))
        if theirs is not None:
            theirs = await stage.theirs.ended(theirs)
        at = time.monotonic()
        stage.forget("slow-smoke")
        await runner.wait()
        took = time.monotonic() - at
        mine = await stage.mine.gate.action(str(mine.id))
        told = f"{mine.kind} killed at {instant}, {mine.status}; theirs {theirs.status if theirs else 'refused'}"
        seen = False
        if theirs is not None and theirs.status == "succeeded":
            weights = await stage.bench.weights()
            assert weights[theirs.to] == 100, f"{told}: written over: {weights}"
            seen = mine.status == "conflict"
        mine = await settled(stage.mine, mine, told)
        if theirs is not None:
            theirs = await settled(stage.theirs, theirs, told)
        weights = await stage.bench.weights()
    one_has_all(weights, told)
    nothing_lost(load, told)
    for journal in (stage.mine, stage.theirs):
        assert (await journal.gate.verify_audit()).intact
    if seen:
        within(took, SEEN_S + MARGIN_S, told)
    return Outcome(f"instant {instant}", "another", mine.status, load.asked, 0, time.monotonic() - began)


async def _another(stage: Stage, chance: random.Random, mine: str) -> Action | None:
    """What a console with the other journal does; None where it may not."""
    gate = stage.theirs.gate
    live = max(weights := await stage.bench.weights(), key=lambda color: weights[color])
    to = "green" if live == "blue" else "blue"
    overrides = ("other-journal", "mixed") if chance.random() < 0.5 else ()
    flip = Request(kind="flip", service=stage.bench.service, to=to, overrides=overrides)
    plan = await gate.plan(flip)
    # What else stood against it, as a side that is being deployed to, may be over when it is asked again.
    blocked = any(finding.level == "block" and finding.code == OTHER_JOURNAL for finding in plan.findings)
    try:
        begun = await gate.submit(plan, YES)
    except Refused as no:
        if no.exit_code not in (3, 6):
            raise AssertionError(f"refused with {no.exit_code}: {no}") from no
        return None
    still = (await stage.mine.gate.action(mine)).open
    assert not (blocked and still), "the other journal stood against it, and it began"
    return begun


async def broken_journal(stage: Stage, chance: random.Random) -> Outcome:
    """The journal is locked or its disk is full when traffic is to go back: it goes back, whoever lives ends without
    another write, and the records come into the chain when it is mended."""
    how = chance.choice(list(BROKEN))
    request = await stage.request(chance)
    lives = chance.random() < 0.4
    instant = 0 if lives else chance.randint(1, await stage.instants(request))
    await stage.cleared()
    began = time.monotonic()
    with disk(stage.bench.directory) as (place, small):
        how = how if small else "locked"
        chaos = Chaos(stage.bench, place / "journal", cold=stage.mine.cold)
        env = {"XDG_RUNTIME_DIR": str(stage.bench.directory)}
        async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load, contextlib.aclosing(chaos):
            action, runner = await chaos.begun(request, instant)
            if not lives:
                await runner.wait()
            elif await stage.has("green", 100, runner.is_over):
                await asyncio.sleep(chance.random())
            path = chaos.journal.location.path
            assert path is not None
            told = f"{how}, killed at {instant}"
            with BROKEN[how](path):
                back = await _back(chaos, runner, env, told)
                assert await stage.bench.weights() == ALL_BLUE, f"{told}: {back}: {await stage.bench.weights()}"
                with contextlib.suppress(TimeoutError):  # its last words may have to wait for the journal
                    await asyncio.wait_for(runner.wait(), SEEN_S)
            await runner.wait()
            assert await stage.bench.weights() == ALL_BLUE, f"{told}: {back}: written over by the runner that lived"
            await add_late(chaos.journal, chaos.gate.policy.context, env)
            action = await chaos.gate.action(str(action.id))
            told = f"{told}, {back}: {action.status} {action.error}"
            if action.open:
                action = await settled(chaos, action, told)
            weights = await stage.bench.weights()
            verdict = await chaos.gate.verify_audit()
            known, kept = await chaos.journal.audit_lines(), await _kept(chaos.journal)
    assert weights == ALL_BLUE, f"{told}: {weights}"
    assert known == kept, f"{told}: {len(known)} records are known here, {len(kept)} are on the disk"
    nothing_lost(load, told)
    assert verdict.intact, f"{told}: {verdict}"
    return Outcome(f"journal {how}", "spare", back, load.asked, 0, time.monotonic() - began)


async def _kept(journal: Journal) -> list[str]:
    """What another process reads, which has not had the journal open while it was broken."""
    fresh = Journal(journal.location)
    async with contextlib.aclosing(fresh):
        return await fresh.audit_lines()


async def _back(chaos: Chaos, runner: Process, env: dict[str, str], told: str) -> str:
    """What the command line does; in a word."""

    async def without(draft: Draft, audit: list[AuditEntry]) -> Action:
        location = chaos.journal.location
        late = LateFile(places(location, env), location.name, draft)
        return await run_unjournalled(draft, audit, build_described, chaos.gate.own, lambda line: None, late=late)

    request = Request(kind="rollback", service=chaos.bench.service)
    while True:
        lives = not runner.is_over()
        try:
            done = await chaos.gate.submit(await chaos.gate.plan(request), YES, without_journal=without)
            break
        except Refused as no:
            if no.exit_code == 5:
                return "nothing moved"
            # Unknown is what could not be read in time (file switch 577 of seed 20001, on a machine late by 2.7 s).
            if no.exit_code == 9:
                raise TooLate(f"{told}: exit 9: {no}") from no
            # What a runner that lives writes between the plan and the order is told, and agreed to again.
            if not lives or no.exit_code != 6:
                raise AssertionError(f"{told}: exit {no.exit_code}: {no}") from no
    if done.open:  # there was room to order it
        done = await chaos.ended(done)
    if done.status in ("succeeded", "rolled_back"):
        return done.status
    assert await chaos.bench.weights() == ALL_BLUE, f"{told}: {done.kind} {done.status}: {done.error}"
    return "aborted"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextlib.contextmanager
def _full(path: Path) -> Iterator[None]:
    filler = path.parent / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    yield
    filler.unlink()


BROKEN: dict[str, Callable[[Path], contextlib.AbstractContextManager[None]]] = {"locked": _locked, "full": _full}


@contextlib.contextmanager
def disk(directory: Path) -> Iterator[tuple[Path, bool]]:
    """A new directory for a journal, and whether it is a file system that can be filled: where one may be mounted. A
    runner that outlives its round may write there again, so that no round takes the one of another."""
    place = directory / f"disk-{time.monotonic_ns()}"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    small = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield place, small
    finally:
        if small:
            subprocess.run(["umount", "-l", str(place)], check=True)
