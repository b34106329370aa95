"""Watching a side that takes traffic, for the time of a stage or of the bake: looks, metrics, a smoke test once more.

Two bad looks in a row or a verdict that fails end it at once. Evidence that is missing is no success: the action is
held, below 100 percent with a deadline after which traffic goes back; at 100 percent until the evidence is there or
somebody decides, since a flip back would be as blind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from actions.beside import unless
from actions.endings import Failed
from actions.journal.steering import HELD_BACK
from actions.judging.gate_fit import look_every_s
from actions.judging.stages import StageJudge, StageVerdict
from actions.switching.held_back import against, ways
from actions.switching.holding import HOLD_S, Holding, Missing
from actions.switching.looks import Looks, Sample
from actions.switching.proof import Proof
from actions.work import Work
from backends.settings import Duration
from backends.text import counted

SHORTEST_PAUSE_S = 0.02
CATCH_UP_S = 0.1
TELL_S = 5.0
GAP_LOOKS = 2.0
AT_LEAST_GAP_S = 2 * TELL_S


class Watching:
    """One window of one action. `run` returns when it has passed."""

    def __init__(
        self,
        work: Work,
        proof: Proof,
        step: str,
        weights: dict[str, int],
        color: str,
        *,
        seconds: float,
        all_down_s: float,
        judge: StageJudge | None = None,
        smoke: Callable[[], Awaitable[str]] | None = None,
        onward: bool = False,
    ) -> None:
        """`smoke` returns what went wrong, empty where nothing did; it is run once beside the looks. `all_down_s`: how
        long it is borne that nothing works. `onward`: more traffic moves behind it, so it is looked at for as long as
        something stands against that."""
        self._work, self._proof = work, proof
        self._step, self._weights, self._color = step, weights, color
        self._seconds = seconds
        self._judge = judge
        self._smoke = smoke
        self._onward = onward
        self._pause_s = look_every_s(seconds)
        self._verdict = StageVerdict(word="pass", detail="") if judge is None else None
        self._looks = Looks(lambda: proof.sample(weights, color), self._pause_s, frozenset({"down", "other"}))
        missing_s = HOLD_S if judge is None else judge.hold_s
        full = weights[color] == 100
        self._holding = Holding(work, self._looks, full=full, missing_s=missing_s, all_down_s=all_down_s)
        self._unsmoked = ""
        self._told = ("", 0.0)
        self._data: dict[str, Any] = {}
        self._began = 0.0
        self._ended_at: float | None = None

    async def run(self) -> None:
        """Raises Failed or Conflict."""
        self._began = time.monotonic()
        left_s = await self._begin()
        smoking = None if self._smoke is None else asyncio.create_task(_awaited(self._smoke()))
        try:
            await unless(self._watch(time.monotonic() + left_s, smoking), self._looks.run())
        except Failed as failure:
            await self._work.end(self._step, "failed", str(failure))
            raise Failed(f"{self._step} failed: {failure}", failure.error.kind) from None
        finally:
            if smoking is not None:
                smoking.cancel()
                await asyncio.gather(smoking, return_exceptions=True)
        self._work.steering.next_stage()

    async def _begin(self) -> float:
        """What an earlier runner saw counts, unless nobody looked for a while: then the window starts anew."""
        gap_s = max(AT_LEAST_GAP_S, GAP_LOOKS * self._pause_s)
        if self._work.steps.last_seen(self._step) > gap_s and self._work.steps.begun(self._step):
            await self._work.end(self._step, "pending", "nobody looked for a while: it starts anew")
        return await self._work.begin(self._step, f"{self._seconds:g}s", lasts_s=self._seconds)

    async def _watch(self, until: float, smoking: "asyncio.Task[str] | None") -> None:
        work = self._work
        await self._looks.first()
        while True:
            now, promoted = time.monotonic(), work.steering.promoted
            if self._ended_at is None and (now >= until or promoted):
                self._ended_at = min(now, until)
            passed = now >= until and self._caught_up
            verdict = await self._judged(passed)
            if smoking is not None and smoking.done() and (problem := smoking.result()):
                raise Failed(f"smoke: {problem}", "smoke_failed")
            if smoking is not None and not smoking.done() and work.late:
                smoking.cancel()
                smoking, self._unsmoked = None, "smoke: out of time, killed"
            sample = self._looks.newest
            by_hand = work.steering.accepted or promoted
            skips = promoted or (by_hand and sample.seen == "rest down")
            over = passed or (skips and self._caught_up)
            fit = ("good", "rest down") if by_hand else ("good",)
            ready = sample.seen in fit and (smoking is None or smoking.done()) and not work.steering.paused
            proven = verdict.word == "pass" and not self._unsmoked and not self._unanswered()
            missing = self._missing(verdict, over)
            if over and ready and (by_hand or proven):
                missing = await self._held_back()
                if missing is None:
                    await self._succeed(verdict)
                    return
            await self._holding.told(missing)
            await self._tell(sample, verdict)
            await asyncio.sleep(self._next_look_s(until))

    @property
    def _caught_up(self) -> bool:
        """Whether a look of the end is over: one that still hangs says nothing yet. A bake of 6 s ended well on the
        answer of its first second, while the side was dead."""
        return self._ended_at is None or self._looks.newest_began >= self._ended_at - self._pause_s

    def _next_look_s(self, until: float) -> float:
        """Also right when a sample is due and when the time is over: what passes needs no moment more."""
        if not self._caught_up:
            return min(self._pause_s, CATCH_UP_S)
        due_s = self._pause_s if self._judge is None else self._judge.due_s
        left_s = until - time.monotonic() if self._ended_at is None else self._pause_s
        return max(SHORTEST_PAUSE_S, min(self._pause_s, due_s, left_s))

    async def _judged(self, over: bool) -> StageVerdict:
        if self._judge is not None and (over or self._verdict is None or self._judge.due_s <= 0):
            self._verdict = await self._judge.look()
            if self._verdict.word == "fail":
                await self._work.progress(self._step, self._verdict.detail, data=self._verdict.data)
                raise Failed(self._verdict.detail, "gate_failed")
        assert self._verdict is not None
        return self._verdict

    def _missing(self, verdict: StageVerdict, over: bool) -> Missing | None:
        """What keeps it from going on that nobody can see; None where it just takes its time."""
        if failing := self._holding.failing(
            "unreached", "unproven", "unread", *(("unseen",) if over else ()), kind="unreachable"
        ):
            return failing
        words = ""
        if verdict.word == "inconclusive":
            words = verdict.detail
        elif self._work.late:
            words = self._unsmoked or "the time of this action is over, and it is not proven yet"
        elif over:
            words = self._unanswered()
        if not words or self._work.steering.accepted:
            return None
        return self._holding.missing(words)

    async def _held_back(self) -> Missing | None:
        """What was recorded since it was agreed to, and speaks against more traffic."""
        found = await against(self._work) if self._onward else None
        return None if found is None else self._holding.missing(found.text, HELD_BACK, ways(self._work, found))

    def _unanswered(self) -> str:
        return self._looks.unanswered(self._weights[self._color] / 100)

    async def _tell(self, sample: Sample, verdict: StageVerdict) -> None:
        detail = "; ".join(part for part in (sample.detail, verdict.detail) if part)
        before, at = self._told
        if detail != before or time.monotonic() - at >= TELL_S:
            self._told = (detail, time.monotonic())
            # The same sample once: the journal is read ten times a second by everybody who watches.
            data, self._data = (verdict.data if verdict.data != self._data else None), verdict.data
            await self._work.progress(self._step, detail, data=data)

    async def _succeed(self, verdict: StageVerdict) -> None:
        work = self._work
        await work.released("the evidence is there")
        await work.stand()
        lasted_s = time.monotonic() - self._began  # longer than planned where it was held
        lasted = f"{self._seconds:g}s" if lasted_s < self._seconds + 1 else str(Duration(round(lasted_s)))
        how = f"{lasted_s:.0f}s, promoted by hand" if work.steering.promoted else lasted
        if work.steering.accepted and verdict.word != "pass":
            how += ", accepted by hand"
        detail = f"{counted(self._looks.count, 'look')} in {how}{self._looks.failed}, {self._color.upper()} healthy"
        words = "; ".join(part for part in (detail, verdict.detail) if part)
        await work.end(self._step, "succeeded", words, **verdict.data)


async def _awaited(waiting: Awaitable[str]) -> str:
    return await waiting
