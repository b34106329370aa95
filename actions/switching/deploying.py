"""Getting a version onto the side that has no traffic, waiting for it there, and putting back what was there before.

The same protocol as for traffic: intent, compare and write, observation. What was there is in the intent, for the undo.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actions.endings import PreconditionFailed, shares
from actions.switching.commands import Commands
from actions.switching.traffic import READ_AGAIN_S, Traffic, same
from actions.targets import SwitchTarget
from actions.work import Work
from backends.errors import BackendError
from backends.ports import Deployed, Deployer, Stamp

ROLLOUT_S = 600.0
RESTORE_S = 120.0
LOOK_S = 0.5
LOST_LOOKS = 5
WRITE_TRIES = 2
_NOTHING = Deployed(version=None)

Write = Callable[[Deployed, str], Awaitable[Deployed]]


class Deploying:
    """What is deployed on the sides of one service, under one action."""

    def __init__(self, work: Work, target: SwitchTarget, traffic: Traffic, commands: Commands) -> None:
        self._work = work
        self._commands = commands
        self._adapter = target.adapter
        self._traffic = traffic
        self._may_not_run = target.edited and bool(target.settings.deploy)

    @property
    def touched(self) -> bool:
        """Whether anything was or may have been deployed."""
        return self._work.steps.attempts("deploy") > 0

    @property
    def recorded(self) -> Deployed:
        """What was on the side before this action came."""
        first = next((line.event for line in self._work.history if _is_intent(line.event, "deploy")), None)
        return _NOTHING if first is None else msgspec.convert(first.data["before"], Deployed)

    async def deploy(self, color: str, version: str) -> None:
        """Put `version` on `color`, as large as the live side is, and wait for it. Raises PreconditionFailed."""
        deployer = self._deployer()
        left_s = await self._work.begin("deploy", f"{version} on {color.upper()}", lasts_s=ROLLOUT_S)
        try:
            replicas = await self._demand(deployer, color)
            if not await self._is_there(deployer, color, version, replicas):
                await self._write(
                    "deploy", color, version,
                    lambda found, stamp: deployer.deploy(
                        found, color, version, replicas=replicas, stamp=stamp, fence=self._work.fence
                    ),
                    at_most_s=left_s,
                )  # fmt: skip
            detail = await self._rolled_out(deployer, "deploy", color, version, left_s)
        except BackendError as error:
            await self._work.end("deploy", "failed", error.message)
            raise PreconditionFailed(_kind(error), f"deploy failed: {error.message}", error.fix) from None
        except PreconditionFailed as unmet:
            await self._work.end("deploy", "failed", str(unmet))
            raise
        await self._work.end("deploy", "succeeded", detail)

    async def start(self, color: str, recorded: Deployed) -> None:
        """Bring up what was on `color` before it was retired. Raises PreconditionFailed."""
        deployer = self._deployer()
        left_s = await self._work.begin("start", f"{recorded.version or 'what was there'}", lasts_s=ROLLOUT_S)
        try:
            await self._put_back("start", deployer, color, recorded, at_most_s=left_s)
            detail = await self._rolled_out(deployer, "start", color, recorded.version or "", left_s)
        except (BackendError, PreconditionFailed) as error:
            await self._work.end("start", "failed", str(error))
            raise PreconditionFailed("start_failed", f"{color.upper()} does not start: {error}") from None
        await self._work.end("start", "succeeded", detail)

    async def restore(self, color: str) -> str:
        """Put back what was on `color` before; what came of it in words. Never raises."""
        recorded, deployer = self.recorded, self._adapter.deployer
        if not self.touched or deployer is None:
            return ""
        what = recorded.version or recorded.artifact
        if not what:
            return f"{color.upper()} is left as it is: nothing was recorded there"
        if self._may_not_run:
            return f"{color.upper()} is left as it is: its entry was edited, so no command of it is run"
        await self._work.begin("restore", f"{what} on {color.upper()}")
        words = f"{what} is back on {color.upper()}"
        try:
            async with asyncio.timeout(2 * RESTORE_S):
                if await self._came_to_nothing(recorded):
                    words = f"{color.upper()} still has {what}"
                else:
                    await self._put_back("restore", deployer, color, recorded, at_most_s=RESTORE_S)
                    await self._rolled_out(deployer, "restore", color, recorded.version or "", RESTORE_S)
        except (BackendError, PreconditionFailed, TimeoutError) as failure:
            why = str(failure) or f"not in {2 * RESTORE_S:g} s"
            await self._work.end("restore", "failed", why)
            return f"{color.upper()} could not be put back to {what}: {why}"
        await self._work.end("restore", "succeeded", words)
        return words

    async def retire(self, color: str) -> str:
        """Take `color` down to nothing. Raises PreconditionFailed, BackendError."""
        deployer = self._deployer()
        await self._idle(color)
        found = await self._write(
            "retire", color, "",
            lambda found, stamp: deployer.retire(found, color, stamp=stamp, fence=self._work.fence),
            at_most_s=ROLLOUT_S,
        )  # fmt: skip
        return found.detail or f"{color.upper()} is at {found.desired if found.desired is not None else 'zero'}"

    # ---- inside

    def _deployer(self) -> Deployer:
        deployer = self._adapter.deployer
        if self._may_not_run:
            raise PreconditionFailed(
                "config", "its entry was edited, so no command of it is run", "start that side by hand"
            )
        if deployer is None:
            raise PreconditionFailed(
                "config", "nothing puts a version on a side", "add `deploy` to the deployment in the config"
            )
        return deployer

    async def _demand(self, deployer: Deployer, color: str) -> int | None:
        """How large the live side is: the other one must not be smaller when traffic gets there."""
        live = self._traffic.before.live
        if live == color or live in ("mixed", "unknown"):
            return None
        with contextlib.suppress(BackendError):  # then as many as it has by itself
            return (await deployer.deployed(live)).desired
        return None

    async def _is_there(self, deployer: Deployer, color: str, version: str, replicas: int | None) -> bool:
        """Whether there is nothing to write: it runs there already, whole, and large enough."""
        found = await deployer.deployed(color)
        small = replicas is not None and (found.desired or 0) < replicas
        if found.version != version or small or self._work.steps.unseen("deploy") is not None:
            return False
        return (await deployer.rollout(color, version)).state == "complete"

    async def _idle(self, color: str) -> None:
        """Raises PreconditionFailed where `color` takes traffic, or the control object is not what it was."""
        found = await self._adapter.observe()
        if found.weights.get(color, 0) != 0 or not found.weights:
            raise PreconditionFailed(
                "conflict", f"{color.upper()} takes traffic: {shares(found)}", "look again, then plan anew"
            )
        if not same(found, self._traffic.last):
            raise PreconditionFailed(
                "conflict", f"somebody wrote the control object since: {shares(found)}", "plan anew"
            )

    async def _came_to_nothing(self, recorded: Deployed) -> bool:
        """Whether a deploy that was broken off left the side as it was, and can not do any more to it."""
        if (line := self._work.steps.unseen("deploy")) is not None:
            before = msgspec.convert(line.event.data["before"], Deployed)
            if await self._settled(before, line.event.data["requested"]["stamp"]) is not None:
                return False
        elif (seen := self._work.steps.happened("observed", "deploy")) is None or seen.data["result"] != "not applied":
            return False
        found = await self._deployer().deployed(self._work.plan.to)
        down = bool(recorded.ready) and found.ready == 0  # it was taken down first, and the new one never came up
        return found.version == recorded.version and not down

    async def _put_back(
        self, step: str, deployer: Deployer, color: str, recorded: Deployed, *, at_most_s: float
    ) -> None:
        await self._write(
            step, color, recorded.version or "",
            lambda found, stamp: deployer.restore(found, color, recorded, stamp=stamp, fence=self._work.fence),
            at_most_s=at_most_s,
        )  # fmt: skip

    async def _write(self, step: str, color: str, version: str, write: Write, *, at_most_s: float) -> Deployed:
        """To its end, whoever is cancelled meanwhile: only the commands in it are ended then. Raises BackendError where
        it was not written, PreconditionFailed where another wrote."""
        return await self._commands.run(step, self._written(step, color, version, write), at_most_s=at_most_s)

    async def _written(self, step: str, color: str, version: str, write: Write) -> Deployed:
        deployer, stamp = self._deployer(), Stamp(self._work.action_id, step).text()
        for attempt in range(1, WRITE_TRIES + 1):
            before = await deployer.deployed(color)
            if self._work.steps.attempts(step) and before.stamp == stamp and before.version in (version, None):
                await self._work.observed(step, _plain(before), "applied")
                return before
            await self._idle(color)
            requested = {"color": color, "version": version, "stamp": stamp}
            await self._work.intent(step, _plain(before), requested, late_s=self._adapter.write_settles_s)
            try:
                found = await write(before, stamp)
            except BackendError as error:
                settled = await self._settled(before, stamp)
                if settled is None:
                    await self._work.observed(step, _plain(before), "not applied")
                    if error.kind not in ("timeout", "unreachable") or attempt == WRITE_TRIES or self._commands.over:
                        raise
                    continue
                found = settled
            await self._work.observed(step, _plain(found), "applied")
            return found
        raise AssertionError("unreachable")

    async def _settled(self, before: Deployed, stamp: str) -> Deployed | None:
        """What a write came to that failed; None where all is as it was. Raises PreconditionFailed for another's, and
        where that is not known."""
        deployer, color = self._deployer(), self._work.plan.to
        until = time.monotonic() + self._adapter.write_settles_s
        for wait_s in (*READ_AGAIN_S, 0.0):
            try:
                found = await deployer.deployed(color)
            except BackendError:
                await asyncio.sleep(wait_s)
                continue
            while found.revision == before.revision and found.stamp != stamp and time.monotonic() < until:
                await asyncio.sleep(LOOK_S)
                found = await deployer.deployed(color)
            if found.stamp == stamp:
                return found
            if found.revision == before.revision:
                return None
            raise PreconditionFailed(
                "conflict", f"somebody else deployed {found.version} on {color.upper()}", "plan anew"
            )
        raise PreconditionFailed("in_doubt", f"what runs on {color.upper()} can not be read", "look at it by hand")

    async def _rolled_out(self, deployer: Deployer, step: str, color: str, version: str, at_most_s: float) -> str:
        """Waits for it. Raises PreconditionFailed, of a side that somebody gave another version after so
        many looks that say so: what was written may not be read everywhere at once."""
        until, told, lost = time.monotonic() + at_most_s, "", 0
        while True:
            try:
                found = await deployer.rollout(color, version)
                state, detail, lost = found.state, found.detail, 0
            except BackendError as error:
                state, detail, lost = "progressing", error.message, lost + 1 if error.kind == "conflict" else 0
                if lost == LOST_LOOKS:
                    raise PreconditionFailed("conflict", f"{color.upper()}: {detail}", error.fix) from None
            if state == "complete":
                return f"{version} on {color.upper()}: {detail}" if version else detail
            if state == "failed":
                raise PreconditionFailed("deploy_failed", f"{version} does not come up on {color.upper()}: {detail}")
            if time.monotonic() >= until:
                words = f"{version} is not up on {color.upper()} in time: {detail}"
                raise PreconditionFailed("deadline", words, "look at what keeps it")
            if detail != told:
                told = detail
                up = f"{version} is not up on {color.upper()} yet: {detail}" if version else detail
                await self._work.progress(step, up)
            await asyncio.sleep(min(LOOK_S, max(0.01, until - time.monotonic())))


def _plain(found: Deployed) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _is_intent(event: Any, step: str) -> bool:
    return bool(event.kind == "intent" and event.step == step)


def _kind(error: BackendError) -> str:
    """A system that was asked to change something failed at it: the exit code is not that of a read."""
    return error.kind if error.kind in ("auth", "conflict", "config") else "deploy_failed"
