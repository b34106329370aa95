"""What proves that traffic is where it should be: the control object, what is behind it, and fresh requests.

What can not be read is never taken to be as it should.
"""

import asyncio
import math
import time
from collections.abc import Callable

from msgspec import Struct

from actions.endings import Conflict, Failed, Unfit
from actions.models import SwitchReport
from actions.probing import NEEDED, Prober
from actions.targets import SwitchTarget
from actions.traffic import Traffic
from actions.work import Work
from backends.errors import BackendError
from backends.models import ColorState
from backends.together import together

VERIFY_S = 120.0
PROBES_AT_ONCE = 5
SHARE_PROBES = 200
SIGMAS = 3.0
TELL_S = 1.0
LOOK_AGAIN_S = 0.5


class Sample(Struct, frozen=True):
    """One look at a side that takes traffic. `good` is None where nothing could be seen; `version` is what it runs."""

    good: bool | None
    detail: str
    version: str | None = None


class Proof:
    """Looks at one service for one action."""

    def __init__(self, work: Work, target: SwitchTarget, traffic: Traffic) -> None:
        self._work = work
        self._target = target
        self._adapter = target.adapter
        self._traffic = traffic
        self._from, self._to = work.plan.from_, work.plan.to

    async def unhealthy(self, color: str, probes: int, version: str = "") -> str:
        """Why `color` may not get traffic now: every one of `probes` must find it healthy, proven to be itself, and in
        `version` where one is given. Empty where it may."""
        for first in range(0, probes, PROBES_AT_ONCE):
            count = min(PROBES_AT_ONCE, probes - first)
            for health in await together(*(self._adapter.color_health(color) for _ in range(count))):
                if problem := _problem(health, version):
                    return f"{color.upper()} is not healthy, asked {probes} times: {problem}"
        return ""

    async def proves(self, color: str, probes: int) -> str:
        """Why fresh requests do not prove that `color` is live now; empty where each of `probes` does."""
        for _ in range(probes):
            seen = await self._target.probe()
            if seen is None or seen.color != color:
                return "there is no probe" if seen is None else seen.error or f"it says {seen.color}"
        return ""

    async def sample(self, weights: dict[str, int], color: str) -> Sample:
        """One look at all layers. Raises Conflict where the control object is not what this action wrote."""
        try:
            found = await self._adapter.observe()
        except BackendError as error:
            return Sample(None, error.message)
        if found.weights != weights or not self._traffic.is_ours(found):
            raise Conflict(found)
        health, seen = await together(self._adapter.color_health(color), self._target.probe())
        if not health.healthy:
            return Sample(health.healthy, f"{color.upper()}: {health.detail}")
        if seen is None or seen.color is None:
            return Sample(False if seen else None, seen.error if seen else "no probe")
        if not weights.get(seen.color):
            return Sample(False, f"a fresh request was answered by {seen.color.upper()}")
        return Sample(True, f"{color.upper()} healthy", health.version)

    async def verify(
        self, prober: Prober, step: str, weights: dict[str, int], color: str, *, at_most_s: float = VERIFY_S
    ) -> None:
        """All three layers, until a deadline: the control object, what is behind it, and fresh requests: the last 20 of
        20 of them, or, of a split, the share that they see. Raises Failed."""
        work = self._work
        left_s = await work.begin(step, lasts_s=at_most_s)
        taken = await self._counts()
        watch = _Share(prober, weights, color) if 0 < weights[color] < 100 else None
        words = watch.words if watch else lambda: f"{prober.of_last(color)} of {NEEDED} fresh requests {color.upper()}"
        telling = asyncio.create_task(self._tell(prober, step, color, words))
        until = time.monotonic() + left_s
        try:
            proven = await self._shared(watch, taken, until) if watch else await prober.proven(color, left_s)
            sample = await self.sample(weights, color)
            seen = await self._left_behind(weights, until) if proven else ""
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        await work.progress(step, words(), self._report(prober, color))
        if not proven or not sample.good or seen:
            why = (prober.last_error() or "another side answers") if not proven else seen if sample.good else ""
            await work.end(step, "failed", f"{words()}: {why or sample.detail}")
            late = sample.good is not False and work.remaining_s(1.0) <= 0
            kind = "deadline" if late else "verify_failed"
            raise Failed(f"{step} failed: {words()}: {why or sample.detail}", kind)
        control = f"control {color.upper()}" + ("" if watch is None else f" {weights[color]} %")
        side = {"color": color, "version": sample.version}
        await work.end(step, "succeeded", f"{words()}, {control}, {sample.detail}", side=side)

    async def untouched(self, probes: int) -> str:
        """What shows that this action has not touched what is live, in words. Raises Unfit with what does not."""
        before = self._traffic.before
        found = await self._traffic.seen()
        if found is None:
            raise Unfit("unreachable", "and the control object can not be read: whether it is untouched is not known")
        if self._traffic.is_ours(found) or found.weights != before.weights:
            raise Unfit("conflict", "and the control object is not as it was")
        live = found.live
        if live not in self._target.settings.colors:
            return f"control unchanged, {live}"
        problem = await self.proves(live, probes)
        if problem:
            raise Unfit("probe", f"control {live.upper()} as before, but a fresh request does not prove it: {problem}")
        return f"{live.upper()} 100 % as before, proven by {probes} of {probes} fresh requests"

    async def _left_behind(self, weights: dict[str, int], until: float) -> str:
        """What is still behind the control object at the deadline; empty as soon as it is as it should be."""
        while True:
            problem = await self._behind(weights)
            left_s = until - time.monotonic()
            if not problem or left_s <= 0:
                return problem
            await asyncio.sleep(min(LOOK_AGAIN_S, left_s))

    async def _behind(self, weights: dict[str, int]) -> str:
        """What of another color is still behind the control object; empty where nothing is, or nobody can look."""
        try:
            layer = await self._adapter.endpoints()
        except BackendError as error:
            return error.message
        taking = [color for color, weight in weights.items() if weight > 0]
        if layer.value == "unknown" or len(taking) > 1 or layer.value == taking[0]:
            return ""
        return f"endpoints say {layer.value}: {layer.detail}"

    async def _shared(self, watch: "_Share", before: dict[str, int], until: float) -> bool:
        while time.monotonic() < until:
            watch.count({color: now - before.get(color, 0) for color, now in (await self._counts()).items()})
            if watch.fits():
                return True
            await watch.prober.next_answer(min(LOOK_AGAIN_S, max(0.01, until - time.monotonic())))
        return watch.fits()

    async def _counts(self) -> dict[str, int]:
        try:
            return await self._adapter.request_counts()
        except BackendError:
            return {}

    async def _tell(self, prober: Prober, step: str, color: str, words: Callable[[], str]) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            await self._work.progress(step, words(), self._report(prober, color))

    def _report(self, prober: Prober, color: str) -> SwitchReport | None:
        return prober.report(self._from, self._to) if color == self._to else None


class _Share:
    """Whether the share of a side that is seen fits the one that was planned, within 3 sigma over 200 requests or more:
    those that the sides count themselves where they do, else fresh probes."""

    def __init__(self, prober: Prober, weights: dict[str, int], color: str) -> None:
        self.prober = prober
        self._weights, self._color = weights, color
        self._planned = weights[color] / 100
        self._counted: tuple[int, int] | None = None

    def count(self, taken: dict[str, int]) -> None:
        """What each side has taken since the write."""
        if set(self._weights) <= set(taken) and all(number >= 0 for number in taken.values()):
            self._counted = taken[self._color], sum(taken[color] for color in self._weights)

    def fits(self) -> bool:
        mine, of = self._seen()
        sigma = math.sqrt(self._planned * (1 - self._planned) / max(1, of))
        return of >= SHARE_PROBES and mine > 0 and abs(mine / of - self._planned) <= SIGMAS * sigma

    def words(self) -> str:
        mine, of = self._seen()
        share = f"{mine / of * 100:.1f} %" if of else "nothing"
        kind = "counted" if self._is_counted() else "fresh"
        return f"{share} of {of} {kind} requests {self._color.upper()}, planned {self._planned * 100:g} %"

    def _is_counted(self) -> bool:
        return self._counted is not None and self._counted[1] >= SHARE_PROBES

    def _seen(self) -> tuple[int, int]:
        if self._counted is not None and self._is_counted():
            return self._counted
        return self.prober.answered(self._color, SHARE_PROBES)


def _problem(health: ColorState, version: str) -> str:
    if not health.healthy:
        return health.detail
    if version and health.version != version:
        return f"it runs {health.version or 'no version that it names'}, not {version}"
    return ""
