"""A side of which the load balancer itself counts that all of its newest requests fail."""

from backends.ports import RequestCounts
from backends.text import counted

AT_LEAST = 2


class Failing:
    """Held to the counts of one look after the other, since a fresh request got no answer: such a request names no
    side, and with all traffic on one it may be the load balancer that hangs. What it counts takes that doubt away."""

    def __init__(self) -> None:
        self._first: RequestCounts | None = None

    def forget(self) -> None:
        """A fresh request was answered."""
        self._first = None

    def words(self, color: str, now: RequestCounts) -> str:
        """That each request which `color` took since the first of these looks failed; empty where one did not, where
        there were fewer than two, or where nobody counts."""
        if self._first is None:
            self._first = now
        taken = _since(self._first.requests, now.requests, color)
        failed = _since(self._first.failures, now.failures, color)
        if taken < AT_LEAST or failed < taken:
            return ""
        return (
            f"all of the newest {counted(taken, 'request')} that {color.upper()} took failed, as they are counted there"
        )


def _since(before: dict[str, int], now: dict[str, int], color: str) -> int:
    return now[color] - before[color] if color in before and color in now else 0
