"""What a write leaves of the action that made it, on a switch, a side or a controller: `ACTION:STEP`, and
`ACTION:shift[50]:green` in a stage of less than all traffic: of 50 % on each side nobody could say who gained, and so
not where back is."""

from msgspec import Struct


class Stamp(Struct, frozen=True):
    """`action` and `step` are empty of a mark that is no action's; `gains`: the color that gains, where it says so."""

    action: str = ""
    step: str = ""
    gains: str = ""

    def text(self) -> str:
        """As it is written. A program of before `gains` says of one with it that it does not know where back is."""
        return ":".join(filter(None, (self.action, self.step, self.gains)))


def read_stamp(text: str) -> Stamp:
    """The inverse of `Stamp.text`; of any text."""
    action, _, rest = text.partition(":")
    step, _, gains = rest.partition(":")
    return Stamp(action, step, gains) if action and step else Stamp()
