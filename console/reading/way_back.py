"""Whether a switch would take a rollback now: its own preflight of it, asked now and then, never with each refresh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import Deployment, RollbackOffer

if TYPE_CHECKING:
    from backends.ports import Switch

EVERY_S = 30.0
LONGEST_S = 20.0
WAIT_S = 2.0  # what is live is not shown later than this for it
_NOT_KNOWN = frozenset({"timeout", "unreachable", "internal"})


class Verdict(NamedTuple):
    """`refused`: a rollback would be, and `why`. Neither that nor `why`: the switch would take it."""

    why: str = ""
    refused: bool = False


class WaysBack:
    """The verdicts of one context, by service and direction. A preflight may start a command or ask a cluster ten
    times: it runs at most once in `EVERY_S`, beside what waits for it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[str, tuple[tuple[str, str], float, asyncio.Task[Verdict]]] = {}
        self._last: dict[str, Verdict] = {}

    async def judged(
        self, deployment: Deployment, switch: Callable[[], Switch], *, wait_s: float = WAIT_S
    ) -> Deployment:
        """`deployment`; its way back is at once only where the switch was seen to take it, and not ready where the
        switch would refuse it. Raises BackendError where there is no such switch."""
        offer = deployment.rollback
        if offer is None or offer.to is None or not offer.ready:
            return deployment
        verdict = await self._verdict(deployment, offer.to, switch(), wait_s)
        return replace(deployment, rollback=_judged(offer, verdict))

    async def _verdict(self, deployment: Deployment, to: str, switch: Switch, wait_s: float) -> Verdict:
        service, way = deployment.service, (deployment.live, to)
        known = self._asked.get(service)
        if known is None or known[0] != way:
            self._last.pop(service, None)
        if known is None or known[0] != way or (known[2].done() and self._clock() - known[1] >= EVERY_S):
            if known is not None:
                known[2].cancel()
            weights = {color: 100 * (color == to) for color in deployment.colors}
            known = way, self._clock(), asyncio.ensure_future(_ask(switch, weights))
            self._asked[service] = known
        task = known[2]
        await asyncio.wait([task], timeout=wait_s)
        if task.done() and not task.cancelled():
            self._last[service] = task.result()
        return self._last.get(service, Verdict("its preflight has not answered yet"))

    async def aclose(self) -> None:
        """Ask no more."""
        asked, self._asked = [task for _, _, task in self._asked.values()], {}
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _ask(switch: Switch, weights: dict[str, int]) -> Verdict:
    try:
        async with asyncio.timeout(LONGEST_S):
            findings = await switch.preflight(replace(await switch.observe(), over=True), weights)
    except TimeoutError:
        return Verdict(f"its preflight did not answer in {LONGEST_S:.0f} s")
    except BackendError as error:
        return Verdict(error.message, refused=error.kind not in _NOT_KNOWN)
    blocks = [finding for finding in findings if finding.level == "block"]
    stops = [finding for finding in blocks if not finding.overridable]  # a rollback goes on past the others
    return Verdict("; ".join(finding.text for finding in stops or blocks), refused=bool(stops))


def _judged(offer: RollbackOffer, verdict: Verdict) -> RollbackOffer:
    if verdict.refused:
        return replace(offer, ready=False, instant=False, reason=f"a rollback would be refused: {verdict.why}")
    return unproven(offer, verdict.why) if verdict.why else offer


def unproven(offer: RollbackOffer, why: str) -> RollbackOffer:
    """`offer` as it was, only not at once."""
    said = f"whether the switch takes it is not proven: {why}"
    return replace(offer, instant=False, reason="; ".join(filter(None, (offer.reason, said))))
