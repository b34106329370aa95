"""In which steps traffic is moved: the stages of a strategy, the names of the steps, and who judges a stage."""

from collections.abc import Iterable
from typing import Any, Literal, Protocol

from msgspec import Struct

STRATEGIES = ("blue-green", "gradual", "canary")
DEFAULT_STAGES: dict[str, tuple[int, ...]] = {
    "blue-green": (100,), "gradual": (10, 50, 100), "canary": (5, 10, 25, 50, 100),
}  # fmt: skip
BACK_STEPS = ("shift-back", "verify-back")


class StageVerdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the metrics say of a stage so far. `data` is kept in the journal with it.

    `pass`: it may go on once its time is over. `waiting`: not enough was seen, and that is no trouble yet, even where
    the time is over: it goes on looking for a moment.
    `inconclusive`: the evidence is missing; the action is held. `fail`: it goes back, at once.
    """

    word: Literal["pass", "waiting", "inconclusive", "fail"]
    detail: str
    data: dict[str, Any] = {}


class StageJudge(Protocol):
    """Judges one stage. Made anew where a runner takes over: samples with a gap between them are not one window."""

    @property
    def due_s(self) -> float:
        """Seconds until the next look is due; not above 0 where it is."""

    @property
    def hold_s(self) -> float:
        """How long evidence may be missing below 100 percent before traffic goes back."""

    @property
    def least_s(self) -> float:
        """Seconds that the stage takes at least."""

    async def look(self) -> StageVerdict:
        """Take a sample now, and say what all of them come to. Never raises."""


class Judge(Protocol):
    """Judges an action's stages by metrics; handed to `Switching` by whoever reads the config."""

    async def baseline(self) -> dict[str, Any]:
        """What production shows before the first stage, for the time when nothing else is left to compare with; kept
        in the journal. Raises BackendError where no metrics can be had: no traffic moves then."""

    def stage(self, share: int, seconds: float, baseline: dict[str, Any]) -> StageJudge:
        """The judge of the stage in which the new side has `share` percent for `seconds`, or of the bake (100)."""


def stages_of(strategy: str, configured: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shares of the side that gains traffic, in percent. Raises ValueError in words for those that can not be."""
    name = strategy or "blue-green"
    stages = tuple(configured.get(name) or DEFAULT_STAGES.get(name, ()))
    if not stages:
        known = ", ".join(dict.fromkeys([*STRATEGIES, *configured]))
        raise ValueError(f'no strategy "{name}" (known: {known})')
    if stages[-1] != 100 or any(not 0 < share <= 100 for share in stages) or sorted(set(stages)) != list(stages):
        raise ValueError(f"stages of {name}: {list(stages)} do not rise to 100")
    return stages


def step_of(what: str, share: int, stages: Iterable[int]) -> str:
    """`shift` where there is one stage, `shift[25]` where there are more."""
    return what if len(tuple(stages)) == 1 else f"{what}[{share}]"


def is_shift(step: str) -> bool:
    """Whether this step moves traffic forward."""
    return step == "shift" or step.startswith("shift[")


def share_of(step: str) -> int | None:
    """The percent of `shift[25]`; 0 for `shift`, which is all at once; None for a step that moves nothing forward."""
    if not is_shift(step):
        return None
    number = step.partition("[")[2].removesuffix("]")
    return int(number) if number.isdigit() else 0


def moves(step: str) -> bool:
    """Whether this step moves traffic, forward or back."""
    return is_shift(step) or step == BACK_STEPS[0]


def moving_steps(stages: tuple[int, ...]) -> tuple[str, ...]:
    """The steps in which traffic is moved through `stages`, in order; one stage is not analysed, but baked."""
    steps = [step_of(what, share, stages) for share in stages for what in ("shift", "verify", "analyse")]
    if len(stages) == 1:
        steps.remove("analyse")
    return tuple(steps)
