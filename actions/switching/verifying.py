"""One proof that traffic has arrived where it was sent: until it is there, its side is down, or a deadline comes.

An answer of another side is lag until that deadline. Where the load balancer can not be reached, or the other side
fails too, there is nothing to go back to that could be proven: the action is held.
"""

import asyncio
import time
from typing import NoReturn

from actions.beside import Guard, unless
from actions.endings import Failed
from actions.kinds import kind_of
from actions.switching.holding import Holding, Missing
from actions.switching.looks import Looks
from actions.switching.probing import NEEDED, Prober
from actions.switching.proof import Proof, Share
from actions.tally import Times
from actions.telling import ACCEPTED
from actions.work import Work
from backends.text import once

VERIFY_S = 120.0
TELL_S = 1.0
LOOK_S = 1.0
AGAIN_S = 0.5


class Verifying:
    """All three layers: the control object, what is behind it, and fresh requests: the last 20 of 20 of them, or, of a
    split, the share that they see."""

    def __init__(
        self, work: Work, proof: Proof, prober: Prober, step: str, weights: dict[str, int], color: str, *,
        at_most_s: float, all_down_s: float,
    ) -> None:  # fmt: skip
        """`color`: the side that has gained traffic, by `weights`. `all_down_s`: how long it is borne that nothing
        works."""
        self._work, self._proof, self._prober = work, proof, prober
        self._step, self._weights, self._color = step, weights, color
        self._at_most_s = at_most_s
        self._from, self._to = work.plan.from_, work.plan.to
        self._full = weights[color] == 100
        self._share = None if self._full or not weights[color] else Share(prober, weights, color)
        self._before: dict[str, int] = {}
        self._looked = ""
        self._proven = ""
        self._version: str | None = None
        self._until = time.monotonic() + at_most_s
        # A way back has no other side to go to: it is looked for until its deadline.
        self._forward = kind_of(work.plan.kind).forward and color == self._to
        self._is_last = self._full and color == self._to
        self._looks = Looks(lambda: proof.sample(weights, color), LOOK_S, frozenset({"down"}))
        self._holding = Holding(work, self._looks, full=self._full, all_down_s=all_down_s)

    async def run(self) -> None:
        """Raises Failed."""
        work = self._work
        left_s = await work.begin(self._step, lasts_s=self._at_most_s)
        self._until = time.monotonic() + left_s
        self._before = (await self._proof.counts()).requests
        work.all_there = self._is_last and not self._forward
        guards: list[Guard] = [self._tell(), *([self._looks.run()] if self._forward else [])]
        kind = "verify_failed"
        try:
            problem = await unless(self._prove(), *guards)
        except Failed as failure:
            problem, kind = str(failure), failure.error.kind
        finally:
            work.all_there = False
        await work.progress(self._step, self._words(), self._times())
        if problem:
            control = f"the control object says {self._color.upper()} {self._weights[self._color]} %"
            words = f"{once(self._words(), problem)}; {control}"
            await work.end(self._step, "failed", words)
            raise Failed(f"{self._step} failed: {words}", kind)
        if work.hold.left_s() is not None:
            await self._holding.told(None)
        control = f"control {self._color.upper()}" + ("" if self._full else f" {self._weights[self._color]} %")
        side = {"color": self._color, "version": self._version}
        seen = self._proven or self._words()
        await work.end(self._step, "succeeded", f"{seen}, {control}, {self._looked}", side=side)

    async def _prove(self) -> str:
        """Why it is not proven at the deadline; empty as soon as it is."""
        while True:
            problem = await self._problem()
            if not problem or (time.monotonic() >= self._until and self._elsewhere is None):
                return problem
            if self._by_hand and not self._holding.nothing_works:
                self._looked += f", {ACCEPTED}"
                return ""
            await asyncio.sleep(AGAIN_S)

    @property
    def _by_hand(self) -> bool:
        return self._work.steering.accepted and self._work.hold.left_s() is not None

    async def _problem(self) -> str:
        if not await self._seen():
            return self._unseen()
        sample = await self._proof.sample(self._weights, self._color)
        self._looked, self._version = sample.detail, sample.version
        problem = await self._proof.behind(self._weights) if sample.seen == "good" else sample.detail
        if not problem and not self._fits():  # late answers came while the other layers were asked
            problem = self._unseen()
        self._proven = "" if problem else self._words()
        return problem

    def _unseen(self) -> str:
        return self._prober.last_error() or "another side answers"

    def _fits(self) -> bool:
        """Whether fresh requests show it now."""
        return self._prober.of_last(self._color) >= NEEDED if self._share is None else self._share.fits()

    async def _seen(self) -> bool:
        """Whether fresh requests show it by the deadline."""
        if self._share is None:
            return await self._prober.proven(self._color, max(0.0, self._until - time.monotonic()))
        while True:
            taken = (await self._proof.counts()).requests
            self._share.count({color: now - self._before.get(color, 0) for color, now in taken.items()})
            left_s = self._until - time.monotonic()
            if self._share.fits() or left_s <= 0 or self._by_hand:
                return self._share.fits()
            await self._prober.next_answer(min(AGAIN_S, left_s))

    @property
    def _elsewhere(self) -> Missing | None:
        """What fails that is not the side that has gained traffic: traffic is not moved to and fro for it."""
        return self._holding.failing("unreached") if self._forward else None

    async def _tell(self) -> NoReturn:
        work = self._work
        while True:
            await asyncio.sleep(TELL_S)
            await work.progress(self._step, self._words(), self._times())
            missing = self._elsewhere
            work.all_there = self._is_last and (missing is not None or not self._forward)
            if missing is None and self._forward:  # told at once; whether it is borne, the deadline says
                missing = self._holding.failing("unread")
            if missing is None and work.late and work.all_there:
                words = f"out of time, and it is not proven yet: {self._words()}"
                missing = Missing(words=words, at_most_s=max(0.0, self._until - time.monotonic()) + TELL_S)
            if missing is not None or work.hold.left_s() is not None:
                await self._holding.told(missing)

    def _words(self) -> str:
        if self._share is not None:
            return self._share.words()
        return f"{self._prober.of_last(self._color)} of {NEEDED} fresh requests {self._color.upper()}"

    def _times(self) -> Times | None:
        if self._color != self._to:
            return None
        left = self._from if not self._weights.get(self._from) else ""  # a side that keeps a share never answers last
        return self._prober.times(left, self._to)
