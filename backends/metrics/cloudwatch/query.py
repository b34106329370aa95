"""The query language of `metrics.cloudwatch`: metrics of CloudWatch, and arithmetic over them.

```
AWS/ApplicationELB:RequestCount{LoadBalancer="app/api/5f", TargetGroup="targetgroup/green/9c"}.Sum[60s]
(AWS/ApplicationELB:HTTPCode_Target_5XX_Count{…}.Sum or 0) / AWS/ApplicationELB:RequestCount{…}.Sum
Platform:DataQualityScore
```
- `Namespace:MetricName`; its dimensions, all of them (CloudWatch knows no metric with fewer); the statistic (`Average`,
  the default, `Sum`, `Minimum`, `Maximum`, `SampleCount`, `p95` …); the period (default 60 s, one for the whole query).
- Without braces: every set of dimensions that the metric has, one sample each.
- `+ - * /` between spaces, parentheses. Operands belong together by their dimensions; those of one side alone go with
  all of the other. A division that has no result is `NaN`, which is not "no data".
- `A or B`: `B` at the times at which `A` has no data; a metric there is asked only where `A` has none at all.
The arithmetic is done here: CloudWatch's own metric math leaves out what it divides by zero without a word.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from backends.errors import BackendError
from backends.text import clean

FIX = "correct the query: backends/metrics/cloudwatch/query.py describes its form"
PERIOD_S = 60
Operator = Literal["+", "-", "*", "/", "or"]

_TOKEN = re.compile(r'\s*(?:([()])|(\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\})|(\[\w*\])|([^\s(){}\[\]]+)|(.))', re.DOTALL)
_METRIC = re.compile(r"[^\s:\"]+:[^\s:\"]+")
_STATISTIC = re.compile(r"\.?(Average|Sum|Minimum|Maximum|SampleCount|p\d{1,2}(?:\.\d+)?)")
_DIMENSION = re.compile(r'\s*([^\s=,"]+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_PERIOD = re.compile(r"\[(\d+)([smh])\]")
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Metric(Struct, frozen=True):
    """A metric that is asked for; `dimensions` None: every set that it has."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] | None
    statistic: str
    period_s: int | None

    def __str__(self) -> str:
        quoted = ", ".join(
            f'{key}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
            for key, value in self.dimensions or ()
        )
        return f"{self.namespace}:{self.name}" + (f"{{{quoted}}}" if self.dimensions else "")


class Constant(Struct, frozen=True):
    """The same number at every time."""

    value: float


class Binary(Struct, frozen=True):
    """Two operands."""

    operator: Operator
    left: "Node"
    right: "Node"


Node = Metric | Constant | Binary


def parse(query: str) -> Node:
    """Raises BackendError(malformed)."""
    parser = _Parser(query)
    node = parser.alternatives()
    parser.end()
    return node


def metrics_in(node: Node) -> Iterator[Metric]:
    """All of them, in the order in which they stand there."""
    if isinstance(node, Metric):
        yield node
    elif isinstance(node, Binary):
        yield from metrics_in(node.left)
        yield from metrics_in(node.right)


def needed(node: Node) -> Iterator[Metric]:
    """Those that have to exist: not what an `or` has another answer for."""
    if isinstance(node, Metric):
        yield node
    elif isinstance(node, Binary) and node.operator != "or":
        yield from needed(node.left)
        yield from needed(node.right)


def period_of(node: Node) -> int:
    """The period of a query in seconds. Raises BackendError(malformed) where it names two."""
    named = {metric.period_s for metric in metrics_in(node) if metric.period_s is not None}
    if len(named) > 1:
        raise _refused(f"two periods in one query: {', '.join(f'{period} s' for period in sorted(named))}")
    return named.pop() if named else PERIOD_S


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens = [match.group().strip() for match in _TOKEN.finditer(query)]
        self._at = 0

    def alternatives(self) -> Node:
        return self._chain(("or",), lambda: self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._atom)))

    def end(self) -> None:
        if self._next():
            raise _refused(f'"{clean(self._next(), 40)}" is not understood here')

    def _chain(self, operators: tuple[Operator, ...], operand: Callable[[], Node]) -> Node:
        node = operand()
        while (operator := next((each for each in operators if each == self._next()), None)) is not None:
            self._at += 1
            node = Binary(operator, node, operand())
        return node

    def _atom(self) -> Node:
        token = self._take()
        if token == "(":
            node = self.alternatives()
            if self._take() != ")":
                raise _refused("a parenthesis is not closed")
            return node
        if re.fullmatch(r"-?\d+(\.\d+)?", token):
            return Constant(float(token))
        if _METRIC.fullmatch(token):
            return self._metric(token)
        what = f'"{clean(token, 40)}" is neither' if token else "the query ends"
        raise _refused(f"a metric (Namespace:MetricName) or a number is wanted, {what}")

    def _metric(self, token: str) -> Metric:
        dimensions, statistic, period = None, "", None
        if self._next().startswith("{"):
            dimensions = _dimensions(self._take())
            if self._next().startswith("."):
                statistic = self._take()
        elif (stem := token.rpartition("."))[0] and _STATISTIC.fullmatch(stem[2]):
            token, statistic = stem[0], stem[2]
        if self._next().startswith("["):
            period = _seconds(self._take())
        found = _STATISTIC.fullmatch(statistic or "Average")
        if found is None:
            raise _refused(f'"{clean(statistic, 40)}" is no statistic: .Sum, .Average, .p95')
        namespace, _, name = token.partition(":")
        return Metric(namespace, name, dimensions, found[1], period)

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._next()
        self._at += 1
        return token


def _dimensions(text: str) -> tuple[tuple[str, str], ...]:
    inside, found, at = text[1:-1], [], 0
    while at < len(inside.rstrip()):
        match = _DIMENSION.match(inside, at)
        if match is None:
            raise _refused(f'dimensions are {{Name="value", …}}, not {clean(text, 80)}')
        found.append((match[1], re.sub(r"\\(.)", r"\1", match[2])))
        at = match.end()
    return tuple(sorted(found))


def _seconds(text: str) -> int:
    match = _PERIOD.fullmatch(text)
    period = int(match[1]) * _UNITS[match[2]] if match else 0
    if period not in (1, 5, 10, 30) and (period == 0 or period % 60):
        raise _refused(f"{clean(text, 20)} is no period: [60s], [5m]; below a minute 1, 5, 10 or 30 s")
    return period


def _refused(words: str) -> BackendError:
    return BackendError("config", f"query: {words}", fix=FIX)
