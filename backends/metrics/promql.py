"""Which metrics a PromQL query reads, found without a server.

Grammar: https://prometheus.io/docs/prometheus/latest/querying/basics/. What is no metric of its own: functions and
aggregations, operators, the labels of `by (…)` and of matchers, durations, strings, comments.
"""

import re
from collections.abc import Generator, Iterator

_TOKEN = re.compile(
    r"""
      (?P<skip>\s+|\#[^\n]*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    | (?P<number>\d[\w.]*(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<range>\[[^\]]*\])
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<operator>=~|!~|!=|==|>=|<=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_LABELS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_AGGREGATIONS = frozenset(
    {
        "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile",
        "limitk", "limit_ratio",
    }
)  # fmt: skip
_WORDS = frozenset(
    {
        "and", "or", "unless", "atan2", "bool", "offset", "inf", "nan", "start", "end",
        "default", "if", "ifnot", "keep_metric_names",  # VictoriaMetrics
    }
)  # fmt: skip
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def metric_names(query: str) -> tuple[str, ...]:
    """The names in the order in which they stand there, each once. A query that is none gives what looks like names."""
    return tuple(dict.fromkeys(_names(_tokens(query))))


def _tokens(query: str) -> list[tuple[str, str]]:
    found = ((match.lastgroup or "", match.group()) for match in _TOKEN.finditer(query))
    return [(kind, text) for kind, text in found if kind not in ("skip", "range", "number")]


def _names(tokens: list[tuple[str, str]]) -> Iterator[str]:
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        after = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if text == "{":
            at = yield from _in_braces(tokens, at)
        elif kind != "name" or text.casefold() in _WORDS:
            continue
        elif text.casefold() in _BEFORE_LABELS:
            at = _past_labels(tokens, at)
        elif after != "(" and not (text.casefold() in _AGGREGATIONS and after.casefold() in ("by", "without")):
            yield text


def _in_braces(tokens: list[tuple[str, str]], at: int) -> Generator[str, None, int]:
    """Matchers: the name may be one of them, `{"a.name"}` or `{__name__="name"}`. Returns where they end."""
    while at < len(tokens) and tokens[at][1] != "}":
        kind, text = tokens[at]
        after = tokens[at + 1][1] if at + 1 < len(tokens) else "}"
        if kind == "string" and after in (",", "}"):
            yield _unquoted(text)
        elif text == "__name__" and after == "=" and at + 2 < len(tokens):
            yield _unquoted(tokens[at + 2][1])
            at += 2
        elif after in ("=", "!=", "=~", "!~"):
            at += 2
        at += 1
    return at + 1


def _past_labels(tokens: list[tuple[str, str]], at: int) -> int:
    """After `by`: the labels are in parentheses; `group_left` may stand without any."""
    if at < len(tokens) and tokens[at][1] == "(":
        while at < len(tokens) and tokens[at][1] != ")":
            at += 1
        return at + 1
    return at


def _unquoted(text: str) -> str:
    return text[1:-1] if text[0] == "`" else _ESCAPE.sub(r"\1", text[1:-1])
