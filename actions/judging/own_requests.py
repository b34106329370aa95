"""Whether a count of requests holds those that the action itself sent: many metrics leave a health URL out."""

from collections.abc import Sequence

SURE = 4.0  # standard deviations of the difference of two counts
ENOUGH = 3  # readings, a quarter of a window apart: what a source tells late is in one of them


def counts_own(pairs: Sequence[tuple[float, int]]) -> bool | None:
    """From `(requests counted, own requests sent)` of windows, oldest first. True: the count fell with ours after a
    write was proven, by more than chance. False: it never was half of what we sent. None: not known."""
    if not pairs:
        return None
    most, least = max(pairs, key=lambda pair: pair[1]), min(pairs, key=lambda pair: pair[1])
    if len(pairs) >= ENOUGH and max(count for count, _ in pairs) < most[1] / 2:
        return False
    sent = most[1] - least[1]
    if sent > SURE * (most[0] + least[0]) ** 0.5 and most[0] - least[0] >= sent / 2:
        return True
    return None
