"""A gate over a real switch, a real journal and a runner: what the tests of actions share."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec

from actions.described import Described, RelatedSources
from actions.gate import Gate
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.journal.lease import Lease, LeaseTimes
from actions.journal.location import JournalLocation, journal_location
from actions.journal.rows import Changes, Event
from actions.models import Action, Consent, Request
from actions.runner import run_action
from actions.starting import Launch
from actions.targets import (
    ControllerTarget,
    IncidentsTarget,
    PipelinesTarget,
    SilencerTarget,
    Sources,
    SwitchTarget,
)
from actions.who import current_actor
from backends.deployments.file_switch import FileSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from console.runners import build_described, launch_detached
from tests.actions.said_once import must_say_it_once
from tests.live.teal import toml
from tests.two_colors import TwoColors

RUNNERS_END_WITHIN_S = 60.0
YES = Consent(confirmed=True)
ANALYTICS_FLIP = Request(kind="flip", service="analytics")
ANALYTICS_ROLLBACK = Request(kind="rollback", service="analytics")


class OneService:
    """`Targets` with the service `analytics` and any pipelines that a test puts in."""

    def __init__(self, service: TwoColors, http: Http, **config: Any) -> None:
        self._service = service
        self._http = http
        self._config = config
        self.backends: dict[str, PipelinesTarget] = {}
        self.silencers: dict[str, SilencerTarget] = {}
        self.incident_systems: dict[str, IncidentsTarget] = {}
        self.notify: tuple[Described, ...] = ()
        self.described: tuple[Described, ...] = ()
        self.around = RelatedSources()
        self.asked: list[Sources] = []
        self.wrap: Callable[[FileSwitch], Any] = lambda adapter: adapter

    async def controller(self, service: str) -> ControllerTarget | None:
        return None

    async def switch(self, service: str) -> SwitchTarget:
        if service != "analytics":
            raise BackendError("not_found", f'no service "{service}"', fix="known: analytics")
        config = self._service.config(**self._config)
        base = self._service.directory
        context = AdapterContext("analytics", base, base / "state", self._http)
        adapter = build("deployments", "file-switch", config, context)
        told = Described(
            port="deployments", type="file-switch", name="analytics", config=config, base_dir=base,
            state_dir=base / "state", notify=self.notify, sources=self.described, around=self.around,
            moves=adapter.object_id,
        )  # fmt: skip
        self.asked.append(Sources(self.described, build_described))
        return SwitchTarget(self.wrap(adapter), told, self.asked[-1])

    def config_file(self) -> Path:
        """The same as a config, for a runner that is a process of its own."""
        entry = {"name": "analytics", "type": "file-switch", **self._service.config(**self._config)}
        told = [{"name": each.name, "type": each.type, **each.config} for each in self.notify]
        lines = ["[contexts.test]"]
        for kind, entries in (("deployments", [entry]), ("notify", told)):
            for each in entries:
                lines += [f"[[contexts.test.{kind}]]", *(f"{key} = {toml(value)}" for key, value in each.items())]
        path = self._service.directory / "config.toml"
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        return path

    async def pipelines(self, backend: str) -> PipelinesTarget:
        if backend not in self.backends:
            raise BackendError("not_found", f'no backend "{backend}"', fix="known: none")
        return self.backends[backend]

    async def incidents(self, backend: str) -> IncidentsTarget | None:
        return self.incident_systems.get(backend)

    async def silencer(self, backend: str) -> SilencerTarget:
        if backend not in self.silencers:
            raise BackendError("not_found", f'no alerts source "{backend}"', fix="known: none")
        return self.silencers[backend]


class HaltingJournal(Journal):
    """The journal of a runner that stands still as soon as it has said that it is in `phase()`."""

    def __init__(self, location: JournalLocation, phase: Callable[[], str], times: LeaseTimes | None = None) -> None:
        super().__init__(location, times)
        self._phase = phase

    async def write(self, lease: Lease, *events: Event, changes: Changes | None = None, **told: Any) -> bool:
        written = await super().write(lease, *events, changes=changes, **told)
        if changes is not None and changes.phase and changes.phase == self._phase():
            await asyncio.Event().wait()
        return written


class House:
    """`async with House(tmp_path, service)`: `gate`, `targets`, `journal`, and `order` from a request to its end.

    A runner of this process stands still in the phase `halts_in` until it is killed: most phases last for less time
    than it takes to see them."""

    def __init__(
        self, state: Path, service: TwoColors, *, detached: bool = False, location: JournalLocation | None = None,
        **config: Any,
    ) -> None:  # fmt: skip
        self.location = location or journal_location(None, {"TEAL_STATE_DIR": str(state)})
        self.times: LeaseTimes | None = None
        self._journals: list[Journal] = []
        self.journal = Journal(self.location)
        self.http = Http()
        self.targets = OneService(service, self.http, **config)
        self.runners: list[asyncio.Task[None]] = []
        self.before_runner: Callable[[], None] = lambda: None
        self.halts_in = ""
        launch: Launch = self.detach if detached else self._here
        self.gate = Gate(
            Policy(context="test", zone=UTC), self.journal, self.targets, current_actor(os.environ), launch
        )

    async def __aenter__(self) -> "House":
        return self

    async def __aexit__(self, failure: object, *_: object) -> None:
        await asyncio.sleep(0)  # one that has just been made begins, or nobody awaits it
        left = set(self.runners)
        if left:  # a fixture is not told that its test failed: what that left paused would be waited for for ever
            _, left = await asyncio.wait(left, timeout=0 if failure else RUNNERS_END_WITHIN_S)
        for runner in left:
            runner.cancel()
        await asyncio.gather(*self.runners, return_exceptions=True)
        for sources in self.targets.asked:
            await sources.aclose()
        await self.journal.aclose()
        await self.http.aclose()
        assert failure or not left, f"a runner did not end within {RUNNERS_END_WITHIN_S:g} s"

    def under(self, **policy: Any) -> Gate:
        """The same gate under another policy."""
        self.gate.policy = msgspec.structs.replace(self.gate.policy, **policy)
        return self.gate

    async def order(self, request: Request, consent: Consent = YES) -> Action:
        """Plan, submit and watch to the end."""
        return await self.ended(await self.gate.submit(await self.gate.plan(request), consent))

    async def ended(self, action: Action, deadline_s: float = 120.0) -> Action:
        """The action when nothing runs it any more."""
        assert action.id is not None
        async with asyncio.timeout(deadline_s):
            async for seen in self.gate.watch(action.id):
                action = seen
            # What it does after its end (the note on the switch that it is over, who is told) is done, too.
            running = [runner for runner in self.runners if runner.get_name() == action.id]
            if running and not action.open:
                await asyncio.wait(running)
        must_say_it_once(action)
        return action

    async def stands(self, action: Action, status: str, deadline_s: float = 120.0) -> Action:
        """The action as soon as its status is `status`."""
        assert action.id is not None
        async with asyncio.timeout(deadline_s):
            async for seen in self.gate.watch(action.id):
                if seen.status == status:
                    return seen
        raise AssertionError(f"{status} was never reached")

    async def reaches(self, action: Action, phase: str, deadline_s: float = 120.0) -> Action:
        """The action as soon as it is in `phase`, or beyond one that was too short to be seen."""
        assert action.id is not None
        async with asyncio.timeout(deadline_s):
            async for seen in self.gate.watch(action.id):
                assert seen.open, f"it has ended as {seen.status} before {phase} was seen"
                if seen.phase == phase or any(step.name == phase and step.ended_at for step in seen.steps):
                    return seen
        raise AssertionError(f"{phase} was never reached")

    async def _here(self, action_id: str, digest: str) -> None:
        self.before_runner()
        self.runners.append(asyncio.create_task(self.run(action_id, digest), name=action_id))

    async def run(self, action_id: str, digest: str = "") -> None:
        """As the runner of this process does."""
        journal = HaltingJournal(self.location, lambda: self.halts_in, self.times)
        self._journals.append(journal)
        try:
            await run_action(action_id, journal, build_described, self.gate.own, digest=digest)
        finally:
            await journal.aclose()

    async def kill_runner(self) -> None:
        """End the newest runner of this process as a signal would: nothing more of it is written."""
        self.runners[-1].cancel()
        await asyncio.gather(self.runners[-1], return_exceptions=True)
        self.halts_in = ""

    async def detach(self, action_id: str, digest: str = "") -> None:
        """Start a runner that is a process of its own."""
        config, context = self.targets.config_file(), self.gate.policy.context
        await launch_detached(action_id, self.location, config, context, digest=digest)
