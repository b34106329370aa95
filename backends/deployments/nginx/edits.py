"""Whether an include that somebody edited still sends traffic where it did when it was written.

Only what can not move traffic passes: parameters of a server (`max_fails=0`), one of many servers taken out, lines of
an upstream as `keepalive`, comments, spaces. Anything else, as a new address or a block more, is not known.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

_TOKENS = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|[^\s{};"']+""")


class _Block(Struct, frozen=True):
    """`words;`, or `words { inside }`."""

    words: tuple[str, ...]
    inside: "tuple[_Block, ...]" = ()


def as_written(text: str, made: str) -> bool:
    """Whether `text`, edited, surely sends traffic where `made`, which was written, does."""
    try:
        return _alike(_parsed(text), _parsed(made))
    except ValueError:
        return False


def same_servers(text: str, made: str) -> bool:
    """Whether `text`, which nobody edited, sends traffic to the servers that `made` names, by the same shares. Only
    that is compared: another version of this program may write the rest in other words."""
    return _alike(_traffic(text), _traffic(made))


def _traffic(text: str) -> tuple[_Block, ...]:
    return tuple(block for block in _parsed(text) if block.words[:1] in (("upstream",), ("split_clients",)))


def _alike(found: tuple[_Block, ...], wanted: tuple[_Block, ...]) -> bool:
    return len(found) == len(wanted) and all(
        one == other or _same_upstream(one, other) for one, other in zip(found, wanted, strict=True)
    )


def _same_upstream(found: _Block, wanted: _Block) -> bool:
    if found.words != wanted.words or wanted.words[:1] != ("upstream",):
        return False
    if any(each.inside or each.words[:1] == ("include",) for each in found.inside):
        return False
    addresses = {each.words[1:2] for each in wanted.inside if each.words[:1] == ("server",)}
    servers = [each.words[1:] for each in found.inside if each.words[:1] == ("server",)]
    taking = [words for words in servers if "down" not in words and "backup" not in words]
    return bool(taking) and all(words[:1] in addresses for words in servers)


def _parsed(text: str) -> tuple[_Block, ...]:
    """Raises ValueError for what is no configuration of nginx."""
    tokens = iter([token for token in _TOKENS.findall(text) if not token.startswith("#")])
    return tuple(_statements(tokens, top=True))


def _statements(tokens: Iterator[str], *, top: bool) -> Iterator[_Block]:
    words: list[str] = []
    for token in tokens:
        if token == ";":
            yield _Block(tuple(words))
            words = []
        elif token == "{":
            yield _Block(tuple(words), tuple(_statements(tokens, top=False)))
            words = []
        elif token == "}":
            if top or words:
                raise ValueError("a brace or a statement that does not end")
            return
        else:
            words.append(token)
    if words or not top:
        raise ValueError("a block or a statement that does not end")
