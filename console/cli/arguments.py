"""What the raw arguments of a command say, where they were not parsed: the failure may be that they do not parse."""

from collections.abc import Sequence

_WITH_VALUE = frozenset({"-c", "--config", "-C", "--context"})
"""What may stand before a command, with a value of its own."""


def is_check(arguments: Sequence[str]) -> bool:
    """Whether the command is `check`, also where the words before it can not be read."""
    words = iter(arguments)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word == "check"
    return False


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a document was asked for."""
    joined = " ".join(arguments)
    return any(form in f"{joined} " for form in ("-o json ", "--output json ", "-ojson ", "--output=json "))
