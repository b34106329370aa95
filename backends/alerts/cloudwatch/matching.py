"""What a matcher takes, where the system has no matchers of its own: whole values, in Python's regular expressions."""

from collections.abc import Iterable, Mapping

from backends.errors import BackendError
from backends.models import Matcher
from backends.text import clean

MATCH_S = 0.5


def takes_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all of `matchers` take these labels. Raises BackendError(config) for a pattern that is none, or hangs."""
    return all(_takes(matcher, labels.get(matcher.name, "")) == matcher.is_equal for matcher in matchers)


def _takes(matcher: Matcher, value: str) -> bool:
    if not matcher.is_regex:
        return value == matcher.value
    import regex

    try:
        return regex.fullmatch(matcher.value, value, timeout=MATCH_S) is not None
    except (regex.error, TimeoutError, OverflowError, RecursionError) as error:
        words = f"{clean(str(matcher), 200)}: {clean(str(error), 100) or 'it takes too long'}"
        raise BackendError("config", words, fix="correct the regular expression") from None
