"""How the lines of a screen are shared out: to each what it has to say, and what is left to whom it never suffices."""

from collections.abc import Sequence


def shares(room: int, wanted: Sequence[int], least: Sequence[int]) -> list[int]:
    """How many lines of `room` each gets: its least, more as far as it wants, the smallest first; what nobody wants the
    last. Where the least of all is too much, the last go without."""
    given: list[int] = []
    for each in least:
        given.append(min(each, max(0, room - sum(given))))
    for _ in range(room - sum(given)):
        wanting = [index for index, (has, wants) in enumerate(zip(given, wanted, strict=True)) if has < wants]
        if not wanting:
            break
        given[min(wanting, key=given.__getitem__)] += 1
    given[-1] += room - sum(given)
    return given
