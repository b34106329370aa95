"""The state machine against a switch that loses answers, writes late, is written by others and has sides that die.

Whatever the order of orders, faults, deaths of the runner and repairs: weights sum to 100, one color or the planned
split has the traffic, no traffic ever goes to a side that is down, no order that is called back raises the share of the
side that was judged bad, what an action says of its end is true, and the audit verifies.
"""

import asyncio
import contextlib
import tempfile
from datetime import UTC
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actions import targets
from actions.gate import Gate
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.journal.location import journal_location
from actions.models import Action, Actor, Consent, OrderWord, Refused, Request
from actions.runner import run_action
from actions.switching import deploying, probing, proof, way_back
from actions.switching import machine as switching
from tests.actions.fake_switch import COLORS, FakeSwitch, FakeTargets, Killed

FAST = "/dev/shm"  # the fsync of each step is what costs
YES = Consent(confirmed=True, reason="a test")
FAULTS = ("", "lost", "refused", "late", "killed before", "killed after", "external", "target dies", "old side dies")
CONFIG = {
    "probe": {"url": "http://127.0.0.1:1/"}, "health": dict.fromkeys(COLORS, "http://127.0.0.1:1/"), "bake": "60ms",
    "stages": {"gradual": [50, 100]}, "stage_time": "60ms",
}  # fmt: skip
QUICK = (
    (probing, "RATE_PER_S", 2000.0),
    (switching, "VERIFY_S", 8.0),
    (proof, "SHARE_PROBES", 10),
    (switching, "HEALTH_S", 0.2),
    (switching, "HEALTH_AGAIN_S", 0.05),
    (way_back, "VERIFY_S", 0.4),
    (way_back, "HEALTHY_AGAIN_S", 0.3),
    (way_back, "LOOK_S", 0.05),
    (deploying, "RESTORE_S", 0.2),
)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._patches = [mock.patch.object(module, name, value) for module, name, value in QUICK]
        self.directory = tempfile.TemporaryDirectory(dir=FAST if Path(FAST).is_dir() else None)
        self.loop = asyncio.Runner()
        self.switch = FakeSwitch()
        probe = mock.patch.object(targets.SwitchTarget, "probe", side_effect=self.switch.probe)
        self._patches.append(probe)
        for patch in self._patches:
            patch.start()
        self.switch.faults = {"target dies": self._target_dies, "old side dies": self._old_side_dies}
        self.journal = Journal(journal_location(None, {"TEAL_STATE_DIR": self.directory.name}))
        self.gate = Gate(
            Policy(context="c", zone=UTC), self.journal, FakeTargets(self.switch, CONFIG),
            Actor(login="alice", host="here"), self.run_one,
        )  # fmt: skip
        self.last: Action | None = None
        self.before: dict[str, int] = {}
        self.stopped = False
        self.records = 0
        self.bad = ""  # the side that the newest change of traffic left, or would have to leave

    def teardown(self) -> None:
        self.loop.run(self.journal.aclose())
        self.loop.close()
        for patch in reversed(self._patches):
            patch.stop()
        self.directory.cleanup()

    def _target_dies(self) -> None:
        """As soon as it has the traffic: it was healthy when it was asked."""
        asyncio.get_running_loop().call_later(0.01, self.switch.healthy.update, {self.to: False})

    def _old_side_dies(self) -> None:
        for color in COLORS:
            asyncio.get_running_loop().call_later(0.01, self.switch.healthy.update, {color: False})

    async def run_one(self, action_id: str, digest: str) -> None:
        """A runner that ends before the gate looks again, by its own or because it was killed."""

        async def build(_: Any) -> FakeSwitch:
            return self.switch

        with contextlib.suppress(Killed):
            await run_action(action_id, self.journal, build, self.gate.own, digest=digest)
        await self.switch.settle()

    async def _ordered(self, request: Request) -> Action | None:
        try:
            self.last = await self.gate.submit(await self.gate.plan(request), YES)
        except Refused:
            return None
        self.last = await self.gate.action(str(self.last.id))
        return self.last

    @property
    def open(self) -> Action | None:
        return self.last if self.last is not None and self.last.open else None

    # ---- what happens

    @initialize()
    def begin(self) -> None:
        self.to = "green"

    @rule(kind=st.sampled_from(["flip", "release"]), fault=st.sampled_from(FAULTS),
          strategy=st.sampled_from(["", "gradual"]), sick=st.booleans())  # fmt: skip
    @precondition(lambda self: self.open is None)
    def forward(self, kind: Any, fault: str, strategy: str, sick: bool) -> None:
        self.switch.fault, self.switch.foreign = fault, False
        self.before, self.stopped = dict(self.switch.weights), False
        before = self.before
        live = max(COLORS, key=lambda color: before[color])
        self.to = next(color for color in COLORS if color != live)
        number = len(self.switch.versions["blue"]) + self.switch.revision
        version = f"2.{number}{'-sick' if sick else ''}" if kind == "release" else ""
        request = Request(
            kind=kind, service="svc", to="" if kind == "release" else self.to, strategy=strategy, version=version,
            overrides=("rollback-failed", "rejected"),
        )  # fmt: skip
        writes = len(self.switch.writes)
        action = self.loop.run(self._ordered(request))
        self.switch.fault = ""
        if len(self.switch.writes) > writes:
            self.bad = self.to
        if action is not None and not self.switch.foreign:
            self._is_true(action)

    @rule(word=st.sampled_from(["resume", "takeover", "rollback", "abort", "abandon"]), fault=st.sampled_from(FAULTS))
    @precondition(lambda self: self.open is not None)
    def order(self, word: OrderWord, fault: str) -> None:
        assert self.open is not None
        self.switch.fault = fault
        onward = word in ("resume", "takeover") and not self.stopped and self.open.status == "running"
        undisturbed = not fault and not self.switch.foreign and self.switch.lying is None
        must_succeed = onward and undisturbed and all(self.switch.healthy.values())
        self.stopped = self.stopped or word in ("rollback", "abort")
        request = Request(kind=self.open.kind, service="svc", ref=self.open.id or "", order=word)
        writes, forward = len(self.switch.writes), self.open.kind != "rollback" and not self.stopped
        self.loop.run(self._ordered(request))
        if len(self.switch.writes) > writes and forward:
            self.bad = self.to
        if self.stopped:
            self._is_back(writes)
        self.switch.fault = ""
        assert self.last is not None
        if not self.switch.foreign:
            self._is_true(self.last)
        if must_succeed:
            assert self.last.status == "succeeded", self.last

    @rule(fault=st.sampled_from(FAULTS))
    @precondition(lambda self: self.open is None)
    def rollback(self, fault: str) -> None:
        self.before, self.stopped = dict(self.switch.weights), False
        self.switch.fault, self.switch.foreign = fault, False
        writes = len(self.switch.writes)
        action = self.loop.run(self._ordered(Request(kind="rollback", service="svc")))
        self.switch.fault = ""
        self._is_back(writes)
        if action is not None and not self.switch.foreign:
            self._is_true(action)

    @rule()
    def repaired(self) -> None:
        self.switch.healthy = dict.fromkeys(COLORS, True)

    @rule(color=st.sampled_from(COLORS))
    def somebody_writes(self, color: str) -> None:
        self.switch.write_by_hand({name: 100 if name == color else 0 for name in COLORS})

    @rule(color=st.sampled_from([None, *COLORS]))
    def probes_lie(self, color: str | None) -> None:
        self.switch.lying = color

    # ---- what must hold

    def _is_back(self, since: int) -> None:
        """Nothing that was written since has raised the share of the bad side."""
        for before, after in self.switch.writes[since:]:
            assert self.bad, "a way back of nothing"
            assert after[self.bad] <= before[self.bad], (self.bad, before, after)

    def _is_true(self, action: Action) -> None:
        weights = self.switch.weights
        if action.status == "succeeded" and action.changed:
            assert weights == {color: 100 if color == action.to else 0 for color in COLORS}, action
        if action.status in ("aborted", "rolled_back"):
            assert weights == self.before, action
        if action.status == "conflict":
            assert self.switch.foreign, action

    @invariant()
    def traffic_goes_somewhere(self) -> None:
        assert sum(self.switch.weights.values()) == 100
        if self.open is None:
            assert set(self.switch.weights.values()) <= {0, 50, 100}

    @invariant()
    def no_traffic_went_to_what_is_down(self) -> None:
        assert self.switch.unsafe == []

    @invariant()
    def the_audit_verifies(self) -> None:
        verdict = self.loop.run(self.journal.audit_verify())
        assert verdict.intact or (verdict.records == 0 and self.records == 0), verdict
        assert verdict.records >= self.records
        self.records = verdict.records


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=12, stateful_step_count=8, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
