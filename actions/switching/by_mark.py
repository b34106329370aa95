"""The way back by the mark on the switch, where no journal tells of what led to what is live."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from actions.judging.stages import BACK_STEPS, share_of
from actions.models import ActionError, Refused, Request
from backends.ports import Stamp, SwitchState, read_stamp
from backends.text import clean


class Back(Struct, frozen=True, kw_only=True):
    """Where back is: `to` a color, or nothing where that is not known; `already`: it is there. `sure`: the mark says
    what its write made, so that an edit since is seen. `why` in words."""

    to: str = ""
    already: bool = False
    sure: bool = False
    why: str


def back_by_mark(state: SwitchState, colors: Sequence[str]) -> Back:
    """What the last write by an action says of where the traffic came from."""
    stamp = read_stamp(state.stamp)
    mark = f"by the mark on the switch ({clean(state.stamp, 64)})"
    if state.odd_mark:
        return Back(why=f"the mark on the switch ({state.odd_mark}) can not be read: which side is back is not known")
    if not stamp.action:
        return Back(why="the switch carries no mark of an action: which side is back is not known")
    if state.wrote and len(colors) == 2 and state.weights and (back := _by_what_it_wrote(state, colors, stamp, mark)):
        return back
    return _by_step(state, colors, stamp, mark)


def named_back(request: Request, state: SwitchState, colors: Sequence[str]) -> Back:
    """Back is where the operator says. Raises Refused (5) for a color that is not known."""
    to = request.to.lower()
    if to not in colors:
        message = f'{request.service} has no color "{clean(to, 64)}"'
        raise Refused(5, ActionError(kind="not_found", message=message, fix=f"known: {', '.join(colors)}"))
    if state.live == to:
        return Back(to=to, already=True, why=f"{to.upper()} has all traffic already")
    return Back(to=to, why=f"{to.upper()} was named as the side to go back to: nobody can say that it was live before")


def _by_what_it_wrote(state: SwitchState, colors: Sequence[str], stamp: Stamp, mark: str) -> Back | None:
    """As the journal would go by it: None where the write was a split of which nobody knows who gained."""
    live = state.live.upper() if state.live in colors else "another side"
    if stamp.step in BACK_STEPS:
        homes = [color for color in colors if state.wrote.get(color) == 100]
        if not homes or state.weights == state.wrote:
            return None
        why = f"{mark} it went back to {homes[0].upper()}, and {live} has traffic since: back again"
        return Back(to=homes[0], sure=True, why=why)
    share = share_of(stamp.step)
    if share is None:
        return None
    gaining = _gaining(state.wrote, colors, stamp, share or 100)
    if len(gaining) != 1:
        return None
    gained, home = gaining[0], next(color for color in colors if color != gaining[0])
    if not state.weights.get(gained):
        why = f"back already: {mark} {gained.upper()} gained the traffic, and {home.upper()} has all of it since"
        return Back(already=True, sure=True, why=why)
    gave = f"{gained.upper()} gained {share} %" if share not in (0, 100) else f"{gained.upper()} gained the traffic"
    return Back(to=home, sure=True, why=f"{mark} {gave}: back is {home.upper()}")


def _moved_since(state: SwitchState, stamp: Stamp, mark: str) -> Back:
    if not stamp.gains:
        return Back(why=f"{mark} it is not known which side is back")
    has = f"{state.live.upper()} has all of it since"
    return Back(already=True, why=f"back already: {mark} {stamp.gains.upper()} gained traffic, and {has}")


def _gaining(weights: Mapping[str, int], colors: Sequence[str], stamp: Stamp, share: int) -> list[str]:
    """The color that gains, as the stamp says; of one that does not, those that have its share."""
    if stamp.gains in colors:
        return [stamp.gains]
    return [color for color in colors if weights.get(color) == share]


def _by_step(state: SwitchState, colors: Sequence[str], stamp: Stamp, mark: str) -> Back:
    """Of a mark that does not say what its write made: the share in its step, held against the weights."""
    others = [color for color in colors if color != state.live]
    if stamp.step in BACK_STEPS:
        if state.live in colors:
            return Back(already=True, why=f"back already, as far as the switch tells: {mark} it went back last")
        return Back(why=f"{mark} it went back last, and traffic is split: which side is back is not known")
    share = share_of(stamp.step)
    if share is None or len(colors) != 2:
        return Back(why=f"{mark} it is not known which side is back")
    if state.live in colors:
        if share == 0 and not state.journal:  # an older program marked its way back like this too
            return Back(why=f"{mark} it is not known whether that was forward or back")
        if share not in (0, 100) and stamp.gains != state.live:  # moved since, by nobody knows whom
            return _moved_since(state, stamp, mark)
        return Back(to=others[0], why=f"{mark} {state.live.upper()} gained the traffic: back is {others[0].upper()}")
    gaining = _gaining(state.weights, colors, stamp, share)
    if state.live == "mixed" and len(gaining) == 1:
        to = next(color for color in colors if color != gaining[0])
        return Back(to=to, why=f"{mark} {gaining[0].upper()} gained {share} %: back is {to.upper()}")
    return Back(why=f"{mark} it is not known which side is back")
