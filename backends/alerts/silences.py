"""When one silence is as good as another."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from backends.models import Silence

SAME_TIME = timedelta(seconds=1)


def equal_silence(silences: Iterable[Silence], *, by: str, ack: bool) -> Silence | None:
    """The silence of `by` that hides now and lasts longest, of `silences` on the same matchers. One that begins later
    hides nothing yet."""
    equal = [
        silence
        for silence in silences
        if silence.state == "active" and silence.is_ack == ack and silence.created_by == by
    ]
    return max(equal, key=_end, default=None)


def ends_then(ends_at: datetime, until: datetime, *, exactly: bool) -> bool:
    """Whether a silence that ends at `ends_at` lasts until then; `exactly`: and no longer."""
    return ends_at >= until - SAME_TIME and not (exactly and ends_at > until + SAME_TIME)


def lasts(silence: Silence, until: datetime) -> bool:
    """Whether `silence` is as good as one until then: a tenth less of the time makes no other silence of it."""
    asked = until - datetime.now(UTC)
    return _end(silence) >= until - max(asked / 10, SAME_TIME)


def _end(silence: Silence) -> datetime:
    return silence.ends_at or datetime.min.replace(tzinfo=UTC)
