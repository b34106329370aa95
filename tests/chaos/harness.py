"""Kills of a runner, and what the next one makes of them, on any switch.

A `Bench` is a service of two colors behind a switch under steady load. `Round` is one order whose runner is killed at
one instant, and one rescue by another process; `play` carries it out and raises AssertionError where a promise is
broken: exactly one color has the traffic, the end that is told is the truth, no request is lost, the audit verifies.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from pathlib import Path
from typing import Protocol, Self

import msgspec
from msgspec import Struct

from actions.gate import Gate
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.journal.location import journal_location
from actions.models import Action, Consent, OrderWord, Request
from actions.targets import Targets
from actions.who import current_actor
from backends.ports import Closable
from console.runners import JOURNAL_VARIABLE
from tests.chaos.asking import ask
from tests.chaos.doomed import DESCRIBED
from tests.chaos.relay import Relay
from tests.warm import ROOT, Job, Process, start

ROUND_S = 240.0
"""That it ends at all; what is promised in seconds is held to them."""
LOAD_PER_S = 20.0
"""Where an answer takes no time. A client asks again after it has one, so the load makes no late machine later."""
CLIENTS = 2
RESCUES: tuple[OrderWord, ...] = ("resume", "takeover", "rollback", "abort")
YES = Consent(confirmed=True, reason="chaos")


class ClosableTargets(Targets, Closable, Protocol):
    """They may have opened an adapter."""


class Bench(Protocol):
    """What chaos is let loose on. `targets` hands out the switch of `service`; `url` is asked through the balancer all
    the time, and each answer that is not 200 is a lost request. The runner's own fresh requests go through `relay`; its
    commands run in `directory`, where files steer them (`benches.controlled`)."""

    name: str
    service: str
    edited_node_by_node: bool
    deploys_by_command: bool
    url: str
    directory: Path
    relay: Relay
    targets: ClosableTargets

    async def reset(self) -> None:
        """All traffic to the first color, both healthy and up, written by nobody that is known."""

    async def weights(self) -> dict[str, int]:
        """Who has the traffic, read past the adapter."""

    async def edit(self, weights: dict[str, int]) -> None:
        """Somebody moves the traffic past this program."""

    async def fail(self, color: str) -> None:
        """A side goes down, until the next reset; when this returns, nobody answers."""

    async def version(self, color: str) -> str:
        """What runs on a side, read past the adapter."""


class Round(Struct, frozen=True):
    """`instant`: its number or name; 0: nobody is killed."""

    request: Request
    instant: int | str
    rescue: OrderWord


class Outcome(Struct, frozen=True):
    """What came of a round. `killed_at` names the instant; empty where the runner lived through."""

    killed_at: str
    rescue: str
    status: str
    asked: int
    lost: int
    seconds: float


class Load:
    """Steady requests of `CLIENTS`, each on a connection of its own. `lost_at`: from when till when each that was lost
    was on its way."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.asked, self.lost, self.lost_at = 0, list[str](), list[tuple[float, float]]()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for each in range(CLIENTS):
                group.create_task(self._client(each / LOAD_PER_S))

    async def _client(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            await self._ask()
            await asyncio.sleep(CLIENTS / LOAD_PER_S)

    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(60):
                first, _ = await ask(self._url)
        except (OSError, TimeoutError) as error:
            first = f"{type(error).__name__}: {error}"
        self.asked += 1
        if " 200" not in first:
            self.lost.append(first)
            self.lost_at.append((began, time.monotonic()))


class Chaos:
    """One journal and one gate over a bench, for many rounds. `cold`: its runners are new interpreters."""

    def __init__(self, bench: Bench, state: Path, *, cold: bool = False) -> None:
        self.bench = bench
        self.cold = cold
        self._location = journal_location(None, {"TEAL_STATE_DIR": str(state)})
        self._counted = state / "instants"
        self.journal = Journal(self._location)
        actor = current_actor(os.environ)
        self.gate = Gate(Policy(context="chaos", zone=UTC), self.journal, bench.targets, actor, self.launch)
        self._fatal: int | str = 0
        self._doomed: Process | None = None
        self._launched: list[Process] = []

    async def aclose(self) -> None:
        """Close the journal."""
        await self.journal.aclose()

    async def instants(self, request: Request) -> list[str]:
        """What an undisturbed runner of `request` goes through."""
        await self.play(Round(request, 0, "resume"))
        return self._counted.read_text(encoding="utf-8").splitlines()

    async def both_rescues(self, request: Request, instant: str) -> tuple[Outcome, Outcome]:
        """Killed at the instant of that name: resumed, and once more from the beginning, rolled back."""
        resumed = await self.play(Round(request, instant, "resume"))
        return resumed, await self.play(Round(request, instant, "rollback"))

    async def play(self, round_: Round) -> Outcome:
        """Raises AssertionError for a broken promise, TimeoutError where it does not come to an end."""
        began = time.monotonic()
        await self.bench.reset()
        before = await self.bench.weights()
        async with asyncio.timeout(ROUND_S), Load(self.bench.url).running() as load:
            action, killed_at = await self.until_killed(round_)
            said = action.status
            if action.open:
                action = await self.rescued(action, round_.rescue)
            weights = await self.bench.weights()
        told = f"killed at {killed_at or 'no instant'} ({said}), {round_.rescue}: {action.status} {action.error}"
        _is_true(action, before, weights, told)
        assert load.lost == [], f"{told}: lost {load.lost[:3]}"
        verdict = await self.gate.verify_audit()
        assert verdict.intact, f"{told}: {verdict}"
        seconds = time.monotonic() - began
        return Outcome(killed_at, round_.rescue, action.status, load.asked, len(load.lost), seconds)

    async def until_killed(self, round_: Round) -> tuple[Action, str]:
        """The action as the kill has left it, and the instant at which that fell."""
        action, runner = await self.begun(round_.request, round_.instant)
        code = await runner.wait()
        reached = self._counted.read_text(encoding="utf-8").splitlines() if self._counted.exists() else []
        assert code in (0, -9), f"the runner ended with {code} after {reached[-3:]}"
        return await self.gate.action(str(action.id)), reached[-1] if code else ""

    async def begun(
        self, request: Request, instant: int | str = 0, *, first: Callable[[], None] = lambda: None
    ) -> tuple[Action, Process]:
        """An action that a runner goes on with, until it is killed at `instant`. `first` is done once it is agreed to,
        before its runner is started."""
        self._counted.unlink(missing_ok=True)
        self._fatal = instant

        async def launch(action_id: str, digest: str) -> None:
            first()
            await self._doom(action_id, digest)

        action = await self.gate.submit(await self.gate.plan(request), YES, launch=launch)
        assert self._doomed is not None
        return action, self._doomed

    def reached(self) -> str:
        """The newest instant that the runner went through."""
        lines = self._counted.read_text(encoding="utf-8").splitlines() if self._counted.exists() else []
        return lines[-1] if lines else ""

    async def rescued(self, action: Action, word: OrderWord) -> Action:
        """By another process, as another operator would: nothing is known of the first but what is in the journal."""
        async with asyncio.timeout(60):
            while action.open and not self.gate.orphaned(action):
                await asyncio.sleep(0.05)
                action = await self.gate.action(str(action.id))
        return await self.ordered(action, word)

    async def ordered(self, action: Action, word: OrderWord) -> Action:
        """What came of an order to an open action; as it stands where nobody goes on with it."""
        order = Request(kind=action.kind, service=action.service, ref=str(action.id), order=word)
        action = await self.gate.submit(await self.gate.plan(order), YES)
        return await self.ended(action)

    async def ended(self, action: Action) -> Action:
        """As it is once nobody goes on with it. A runner that was launched and begins late is somebody, too: who looks
        at the journal alone takes it for gone after some seconds."""
        while True:
            async for seen in self.gate.watch(str(action.id)):
                action = seen
            late = [runner for runner in self._launched if not runner.is_over()]
            if not action.open or not late:
                return action
            await late[0].wait()

    async def stopped(self, request: Request, instant: str, ttl_s: float) -> tuple[Action, Process]:
        """An action whose runner has a lease of `ttl_s` and stopped itself at `instant`."""
        self._counted.unlink(missing_ok=True)
        self._fatal = instant
        action = await self.gate.submit(
            await self.gate.plan(request),
            YES,
            launch=lambda action_id, digest: self._doom(action_id, digest, f"{ttl_s:g}"),
        )
        assert self._doomed is not None
        state = Path(f"/proc/{self._doomed.pid}/stat")
        async with asyncio.timeout(60):
            while state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "T":
                await asyncio.sleep(0.02)
        return action, self._doomed

    async def _described(self) -> None:
        targets, service = self.bench.targets, self.bench.service
        target = await targets.controller(service) or await targets.switch(service)
        (self._location.directory / DESCRIBED).write_bytes(msgspec.json.encode(target.entry, enc_hook=str))

    async def _doom(self, action_id: str, digest: str, *ttl: str) -> None:
        await self._described()
        self._doomed = await self._runner(action_id, digest, str(self._fatal), str(self._counted), *ttl)

    async def launch(self, action_id: str, digest: str) -> None:
        """Start a runner that lives."""
        await self._described()
        self._launched = [runner for runner in self._launched if not runner.is_over()]
        self._launched.append(await self._runner(action_id, digest, "0", os.devnull))

    async def _runner(self, *arguments: str) -> Process:
        environment = {**os.environ, JOURNAL_VARIABLE: self._location.url, "PYTHONPATH": str(ROOT)}
        job = Job("tests.chaos.doomed", "main", list(arguments), environment, session=True, quick=True, cold=self.cold)
        return await start(job)


def _is_true(action: Action, before: dict[str, int], weights: dict[str, int], told: str) -> None:
    assert sorted(weights.values()) == [0, 100], f"{told}: {weights}"
    if action.status == "succeeded":
        assert weights[action.to] == 100, f"{told}: {weights}"
    else:
        assert action.status in ("rolled_back", "aborted"), told
        assert weights == before, f"{told}: {weights}"
