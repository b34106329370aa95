"""What proves that traffic is where it should be: the control object, what is behind it, and fresh requests.

What can not be read is never taken to be as it should.
"""

import math

from msgspec import Struct

from actions.endings import PreconditionFailed
from actions.expected import SwitchExpected
from actions.switching.counted import Failing
from actions.switching.looks import Sample
from actions.switching.probing import Prober
from actions.switching.silence import silent
from actions.switching.traffic import Traffic
from actions.targets import SwitchTarget
from actions.work import Work
from backends.deployments.common import ProbeResult
from backends.errors import BackendError
from backends.models import ColorState
from backends.ports import RequestCounts, SwitchState
from backends.together import together

OTHER_VERSION = "other-version"
PROBES_AT_ONCE = 5
SHARE_PROBES = 200
SIGMAS = 3.0


class Proven(Struct, frozen=True, kw_only=True):
    """What fresh requests say of the color that is live. `problem`: why they do not prove it, `elsewhere` where one was
    answered by another; `failing`: the error with which it answers one that it is named in."""

    problem: str = ""
    elsewhere: bool = False
    failing: str = ""

    @property
    def with_errors(self) -> str:
        """`, answered with an error: HTTP 500`; empty where none was."""
        return f", answered with an error: {self.failing}" if self.failing else ""


class Proof:
    """Looks at one service for one action."""

    def __init__(self, work: Work, target: SwitchTarget, traffic: Traffic) -> None:
        self._work = work
        self._target = target
        self._adapter = target.adapter
        self._traffic = traffic
        self._probe = work.seen.counted(target.probe)
        self._failing = Failing()

    async def unhealthy(self, color: str, probes: int, version: str = "") -> str:
        """Why `color` may not get traffic now: every one of `probes` must find it healthy, proven to be itself, and in
        `version` where one is given. Empty where it may."""
        for first in range(0, probes, PROBES_AT_ONCE):
            count = min(PROBES_AT_ONCE, probes - first)
            for health in await together(*(self._adapter.color_health(color) for _ in range(count))):
                if problem := _problem(health, version):
                    return f"{color.upper()} is not healthy, asked {probes} times: {problem}"
        return ""

    async def proves(self, color: str, probes: int) -> Proven:
        """Whether each of `probes` fresh requests says that `color` is live now, be it by an error that names it."""
        failing = ""
        for _ in range(probes):
            seen = await self._probe()
            if seen is None:
                return Proven(problem="there is no probe")
            if seen.color is None and seen.named == color:
                failing = seen.error
            elif seen.color != color:
                return Proven(problem=seen.error or f"it says {seen.color}", elsewhere=seen.color is not None)
        return Proven(failing=failing)

    async def sample(self, weights: dict[str, int], color: str) -> Sample:
        """One look at all layers. Raises Conflict where the control object is not what this action wrote.

        A fresh request goes with each look, whatever can be read: with a load balancer that is dead its control object
        may be gone too, and users are refused all the same.
        """
        other = next(name for name in self._target.settings.colors if name != color)
        found, health, others, seen = await together(
            self._observed(), self._adapter.color_health(color), self._adapter.color_health(other), self._probe()
        )
        if isinstance(found, BackendError):
            refused = f"; a fresh request failed: {seen.error}" if seen is not None and seen.color is None else ""
            return Sample("unread", f"{found.message}{refused}")
        if found.weights != weights or not self._traffic.is_ours(found):
            raise self._traffic.conflict(found)
        down = _down(color, health, seen) or silent(self._work.seen, color, weights[color])
        if down := down or await self._counted(seen, color):
            also = [f"{other.upper()} is not healthy: {others.detail}"] if others.healthy is False else []
            if seen is not None and not seen.reached and not await self._nothing_is_behind():
                also.append(f"the load balancer can not be reached: {seen.error}")
            return Sample("all down", "; and ".join([down, *also])) if also else Sample("down", down)
        if weights.get(other) and others.healthy is False and health.healthy:
            words = f"{other.upper()}, which has {weights[other]} % of the traffic, is not healthy: {others.detail}"
            return Sample("rest down", words, health.version)
        sample = self._answered(weights, color, health, seen)
        return Sample("unseen", found.pending) if sample.seen == "good" and found.pending else sample

    async def _counted(self, seen: ProbeResult | None, color: str) -> str:
        """That nobody whom `color` takes is served, where a fresh request named no side and the balancer counts."""
        if seen is None or seen.color is not None or not seen.reached:
            self._failing.forget()
            return ""
        return self._failing.words(color, await self.counts())

    async def _observed(self) -> SwitchState | BackendError:
        """The control object, or why it can not be read."""
        try:
            return await self._adapter.observe()
        except BackendError as error:
            return error

    async def _nothing_is_behind(self) -> bool:
        """Whether that is why the load balancer refuses: one that only forwards connections, as a Kubernetes Service,
        has nobody to hand them to once the side with all traffic is down."""
        try:
            return (await self._adapter.endpoints()).ready == 0
        except BackendError:
            return False

    def _answered(self, weights: dict[str, int], color: str, health: ColorState, seen: ProbeResult | None) -> Sample:
        if not health.healthy:
            return Sample("unseen", f"{color.upper()}: {health.detail}")
        if seen is None:
            return Sample("unseen", "no probe")
        if seen.color is None:
            return Sample("unproven" if seen.reached else "unreached", seen.error)
        if not weights.get(seen.color):
            return Sample("other", f"a fresh request was answered by {seen.color.upper()}")
        return Sample("good", f"{color.upper()} healthy", health.version)

    async def untouched(self, probes: int) -> str:
        """What shows that this action has not touched what is live, in words. Raises PreconditionFailed with what does
        not."""
        before = self._traffic.before
        found = await self._traffic.seen()
        if found is None:
            raise PreconditionFailed(
                "unreachable", "and the control object can not be read: whether it is untouched is not known"
            )
        if self._traffic.is_ours(found) or found.weights != before.weights:
            raise PreconditionFailed("conflict", "and the control object is not as it was")
        live = found.live
        if live not in self._target.settings.colors:
            return f"control unchanged, {live}"
        proof = await self.proves(live, probes)
        if proof.problem:
            raise PreconditionFailed(
                "probe", f"control {live.upper()} as before, but a fresh request does not prove it: {proof.problem}"
            )
        ran = self._work.plan.expecting(SwitchExpected).versions.get(live, "")
        runs = (await self._adapter.color_health(live)).version or ""
        if ran and runs and ran != runs:
            words = f"and {live.upper()}, which has all traffic, runs {runs} now: it ran {ran} before this action"
            raise PreconditionFailed(OTHER_VERSION, words, "see which side the deploy command writes to")
        return f"{live.upper()} 100 % as before, proven by {probes} of {probes} fresh requests{proof.with_errors}"

    async def behind(self, weights: dict[str, int]) -> str:
        """What of another color is still behind the control object; empty where nothing is, or nobody can look."""
        try:
            layer = await self._adapter.endpoints()
        except BackendError as error:
            return error.message
        taking = [color for color, weight in weights.items() if weight > 0]
        if layer.value == "unknown" or len(taking) > 1 or layer.value == taking[0]:
            return ""
        return f"endpoints say {layer.value}: {layer.detail}"

    async def counts(self) -> RequestCounts:
        """What is counted of requests, by one look; nothing where nobody can look."""
        try:
            return await self._adapter.request_counts()
        except BackendError:
            return RequestCounts()


class Share:
    """Whether the share of a side that is seen fits the one that was planned, within 3 sigma over 200 requests or more:
    those that the sides count themselves where they do, else fresh probes."""

    def __init__(self, prober: Prober, weights: dict[str, int], color: str) -> None:
        self.prober = prober
        self._weights, self._color = weights, color
        self._planned = weights[color] / 100
        self._counted: tuple[int, int] | None = None

    def count(self, taken: dict[str, int]) -> None:
        """What each side has taken since the write; of one that has counted none it is not known that it counts."""
        if set(self._weights) <= set(taken) and all(taken[color] > 0 for color in self._weights):
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


def _down(color: str, health: ColorState, seen: ProbeResult | None) -> str:
    """How `color` itself said that it is down, directly or through the load balancer; empty where it did not."""
    if health.healthy is False:
        return f"{color.upper()}: {health.detail}"
    if seen is not None and seen.color is None and seen.named == color:
        return f"{color.upper()}, through the load balancer: {seen.error}"
    return ""


def _problem(health: ColorState, version: str) -> str:
    if not health.healthy:
        return health.detail
    if version and health.version != version:
        return f"it runs {health.version or 'no version that it names'}, not {version}"
    return ""
