"""When one silence is as good as another."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from backends.models import Matcher, Silence

SAME_TIME = timedelta(seconds=1)


def equal_silence(
    silences: Iterable[Silence], matchers: tuple[Matcher, ...], *, by: str, ack: bool
) -> Silence | None:  # fmt: skip
    """The silence of `by` on exactly these matchers that is not over, that which lasts longest."""
    equal = [
        silence for silence in silences
        if silence.state in ("active", "pending") and silence.is_ack == ack
        and silence.created_by == by and set(silence.matchers) == set(matchers)
    ]  # fmt: skip
    return max(equal, key=_end, default=None)


def lasts(silence: Silence, until: datetime) -> bool:
    """Whether `silence` is as good as one until then: a tenth less of the time makes no other silence of it."""
    asked = until - datetime.now(UTC)
    return _end(silence) >= until - max(asked / 10, SAME_TIME)


def _end(silence: Silence) -> datetime:
    return silence.ends_at or datetime.min.replace(tzinfo=UTC)
