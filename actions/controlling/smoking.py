"""The smoke test of a release that a controller makes: run where it waits, the candidate answers at its preview, and no
traffic has moved. Traffic that moves without it is a failure of the release."""

import asyncio
import time

from msgspec.structs import replace

from actions.endings import Failed
from actions.ids import now
from actions.switching.commands import Commands
from actions.switching.smoke import SMOKE_S, Smoke, base_url
from actions.targets import ControllerTarget
from actions.work import Work
from backends.commands import CommandEnd
from backends.deployments.common import fresh_version
from backends.errors import BackendError
from backends.ports import Operation, Pause, ProbeTarget

SMOKE = "smoke"
CANDIDATE = "candidate"
PROVEN_S = 120.0
"""For how long the preview may answer with another version: its load balancer takes a while to follow."""
LOOK_S = 0.5
MARGIN_S = 30.0
"""So long before a pause promotes itself the test has to be over: what fails then is stopped in time."""
_FAILED = "smoke_failed"


def smoke_values(service: str, version: str, preview: str) -> dict[str, str]:
    """What the command may name; `url` is the base URL of the preview."""
    return {"color": CANDIDATE, "version": version, "url": base_url(preview), "service": service}


class Smoking:
    """That of one action."""

    def __init__(self, work: Work, target: ControllerTarget) -> None:
        self._work = work
        self._target = target
        self._commands = Commands(work)
        settings = target.settings
        self._wanted = bool(settings.smoke) and not target.edited

    def due(self, found: Operation) -> bool:
        """Whether it is to be run now. Raises Failed where the candidate has traffic, and it was not."""
        if not self._wanted or self._work.steps.done(SMOKE) or found.back or found.state not in ("open", "succeeded"):
            return False
        if found.moved or found.state == "succeeded":
            raise Failed("smoke: traffic moved to the new version before it was tested", _FAILED)
        return found.pause is not None and bool(found.pause.preview)

    async def run(self, found: Operation) -> None:
        """To its end, as long as the controller waits there. Raises Failed where it fails, or where the controller went
        on meanwhile; returns where the change was ended or taken back."""
        work, pause = self._work, found.pause
        assert pause is not None
        await self._commands.settle()
        left_s = await work.begin(SMOKE, lasts_s=min(SMOKE_S, _seconds_of(pause)))
        testing = asyncio.create_task(self._tested(pause.preview, left_s))
        try:
            while not testing.done():
                await asyncio.wait({testing}, timeout=LOOK_S)
                if not testing.done() and (gone := await self._gone(found.id, pause)) is not None:
                    await work.end(SMOKE, "failed", f"it was not waited for: {gone.detail or gone.state}")
                    self.due(gone)
                    return
        finally:
            testing.cancel()
            await asyncio.wait({testing})
        ended = testing.result()
        if ended.why:
            await work.progress(SMOKE, ended.why, data={"output": list(ended.output)})
            await work.end(SMOKE, "failed", ended.why)
            raise Failed(f"smoke failed: {ended.why}", _FAILED)
        await work.end(SMOKE, "succeeded", ended.output[-1] if ended.output else "exit status 0")

    async def _tested(self, preview: str, left_s: float) -> CommandEnd:
        """The command, once the preview has said the version: one that tests the other side tests nothing."""
        until = time.monotonic() + left_s
        if why := await self._unproven(preview, min(left_s, PROVEN_S)):
            return CommandEnd(None, (), why)
        values = smoke_values(self._work.plan.service, self._work.plan.to, preview)
        smoke = Smoke(self._target, self._commands, values)
        return await smoke.run(SMOKE, timeout_s=until - time.monotonic())

    async def _unproven(self, preview: str, within_s: float) -> str:
        """Why it does not say the version; empty as soon as it does."""
        settings, version = self._target.settings, self._work.plan.to
        probe = replace(settings.probe or ProbeTarget(url=""), url=preview)
        until = time.monotonic() + within_s
        while True:
            seen = await fresh_version(probe, float(settings.probe_timeout))
            if seen.color == version:
                return ""
            if time.monotonic() >= until:
                return f"preview: {seen.error or f'it says {seen.color}'}, wanted {version}"
            await asyncio.sleep(LOOK_S)

    async def _gone(self, operation: str, pause: Pause) -> Operation | None:
        """The change, where it waits there no more; None while it does, or while nobody can look."""
        try:
            found = await self._target.adapter.operation(operation)
        except BackendError:
            return None
        waits = found.open and found.pause is not None and found.pause.id == pause.id
        return None if waits else found


def _seconds_of(pause: Pause) -> float:
    """For how long the controller waits there, as far as it says."""
    if pause.until is None:
        return SMOKE_S
    margin_s = MARGIN_S if pause.then == "promote" else 0.0
    return max(0.0, (pause.until - now()).total_seconds() - margin_s)
