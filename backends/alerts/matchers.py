"""Matchers of silences: read from text, chosen for an acknowledgement, compared with labels."""

import re
from collections.abc import Iterable, Mapping

from backends.errors import BackendError
from backends.models import Matcher
from backends.text import clean

_TEXT = re.compile(r"\s*(?P<name>[^=!~\s{}\",]+)\s*(?P<sign>=~|!=|!~|=)\s*(?P<value>.*?)\s*", re.DOTALL)
_UNTHOUGHT_OF = ("zqxjv", "Zq-7x.j")
_CLASSIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def parse_matcher(text: str) -> Matcher:
    """`name=value`, `name!=value`, `name=~regex`, `name!~regex`; the value may stand in double quotes, without escapes
    in it then. Raises ValueError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is not like name=value, name!=value, name=~regex or name!~regex')
    value = found["value"]
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not value and found["sign"] in ("=", "=~"):
        raise ValueError(f'"{text}" has no value: it would match every alert without that label')
    return Matcher(
        name=found["name"],
        value=value,
        is_regex=found["sign"].endswith("~"),
        is_equal=not found["sign"].startswith("!"),
    )


def as_filter(matcher: Matcher) -> str:
    """The matcher as Alertmanager's `filter` takes it; a name outside of the classic form needs quotes (0.27)."""
    text = str(matcher)
    if _CLASSIC_NAME.fullmatch(matcher.name):
        return text
    quoted = matcher.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"{text.removeprefix(matcher.name)}'


def exact_matchers(labels: Mapping[str, str], others: Iterable[Mapping[str, str]]) -> tuple[Matcher, ...]:
    """Matchers on all of `labels`, that match none of `others`: one that has these labels and more is another alert,
    so what it has besides must be absent. Raises BackendError(config) for no labels."""
    wanted = {name: value for name, value in labels.items() if value}
    if not wanted:
        raise BackendError("config", "an alert without labels", fix="silence it by -m NAME=VALUE")
    more = {
        name
        for other in others
        if wanted.items() <= other.items()
        for name, value in other.items()
        if value and name not in wanted
    }
    first = sorted(wanted, key=lambda name: (name != "alertname", name))
    found = [Matcher(name=name, value=wanted[name]) for name in first]
    return (*found, *(Matcher(name=name, value=".+", is_regex=True, is_equal=False) for name in sorted(more)))


def identity_matchers(ref: str, labels: Mapping[str, str], identity: Iterable[str]) -> tuple[Matcher, ...]:
    """Matchers on the name of the alert `ref` and on those of its `labels`, as its system has them, that are in
    `identity`. Raises BackendError(config) for none of them, since a silence of no matchers hides everything."""
    names = dict.fromkeys(["alertname", *identity])
    found = tuple(Matcher(name=name, value=labels[name]) for name in names if labels.get(name))
    if not found:
        words = f"{ref} has none of the labels {', '.join(names)}"
        raise BackendError("config", words, fix="name labels that it has in `identity`")
    return found


def may_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """False where a matcher without a regular expression rules `labels` out. Regular expressions are left to the
    system that they are meant for: its dialect is another one, and a bad one would hang this process."""
    return all(
        matcher.is_regex or (labels.get(matcher.name, "") == matcher.value) == matcher.is_equal for matcher in matchers
    )


def refuse_all_embracing(matchers: Iterable[Matcher]) -> None:
    """BackendError(config) for matchers that do not ask for any label to be there: they would hide everything."""
    if not any(matcher.value and matcher.is_equal for matcher in matchers):
        words = "a silence of these matchers would hide everything"
        raise BackendError("config", words, fix="name at least one label and its value")


def embraces_all(matchers: Iterable[Matcher]) -> bool:
    """Whether nothing in `matchers` asks for one certain value: each that is positive takes a word nobody thought of.

    The words are short and the check is only one more reason to refuse, so that the dialect of another system, or a
    pattern that Python does not take, does no harm.
    """
    positive = [matcher for matcher in matchers if matcher.is_equal]
    return any(all(_takes(matcher, word) for matcher in positive) for word in _UNTHOUGHT_OF)


def _takes(matcher: Matcher, word: str) -> bool:
    if not matcher.is_regex:
        return False
    try:
        return re.fullmatch(matcher.value, word) is not None
    except (re.error, OverflowError, RecursionError):
        return False


def in_words(matchers: Iterable[Matcher]) -> str:
    """`{alertname="X", dataset="y"}`."""
    return "{" + ", ".join(clean(str(matcher), 700) for matcher in matchers) + "}"
