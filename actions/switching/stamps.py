"""What a write leaves on a switch of the action that made it: `ACTION:STEP`, and `ACTION:shift[50]:green` in a stage of
less than all traffic: of 50 % on each side nobody could say who gained, and so not where back is."""

from msgspec import Struct

from actions.judging.stages import share_of


class Stamp(Struct, frozen=True):
    """`action` and `step` are empty of a mark that is no action's; `gains`: the color that gains, where it says so."""

    action: str = ""
    step: str = ""
    gains: str = ""


def stamp_of(action: str, step: str, gains: str) -> str:
    """The text of a write of this step, by which `gains` has gained. A program of before such a third part says of it
    that it does not know where back is."""
    return f"{action}:{step}:{gains}" if share_of(step) and share_of(step) != 100 else f"{action}:{step}"


def read_stamp(text: str) -> Stamp:
    """Of any text."""
    action, _, rest = text.partition(":")
    step, _, gains = rest.partition(":")
    return Stamp(action, step, gains) if action and step else Stamp()
