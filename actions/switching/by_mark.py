"""The way back by the mark on the switch, where no journal tells of what led to what is live."""

from collections.abc import Sequence

from msgspec import Struct

from actions.judging.stages import BACK_STEPS, share_of
from backends.ports import SwitchState
from backends.text import clean


class Back(Struct, frozen=True, kw_only=True):
    """Where back is: `to` a color, or nothing where that is not known; `already`: it is there. `why` in words."""

    to: str = ""
    already: bool = False
    why: str


def back_by_mark(state: SwitchState, colors: Sequence[str]) -> Back:
    """What the last write by an action says of where the traffic came from."""
    action, _, step = state.stamp.partition(":")
    mark = f"by the mark on the switch ({clean(state.stamp, 64)})"
    others = [color for color in colors if color != state.live]
    if state.odd_mark:
        return Back(why=f"the mark on the switch ({state.odd_mark}) can not be read: which side is back is not known")
    if not action or not step:
        return Back(why="the switch carries no mark of an action: which side is back is not known")
    if step in BACK_STEPS:
        if state.live in colors:
            return Back(already=True, why=f"back already, as far as the switch tells: {mark} it went back last")
        return Back(why=f"{mark} it went back last, and traffic is split: which side is back is not known")
    share = share_of(step)
    if share is None or len(colors) != 2:
        return Back(why=f"{mark} it is not known which side is back")
    if state.live in colors:
        if share == 0 and not state.journal:  # an older program marked its way back like this too
            return Back(why=f"{mark} it is not known whether that was forward or back")
        return Back(to=others[0], why=f"{mark} {state.live.upper()} gained the traffic: back is {others[0].upper()}")
    gaining = [color for color, weight in state.weights.items() if weight == share]
    if state.live == "mixed" and len(gaining) == 1:
        to = next(color for color in colors if color != gaining[0])
        return Back(to=to, why=f"{mark} {gaining[0].upper()} gained {share} %: back is {to.upper()}")
    return Back(why=f"{mark} it is not known which side is back")
