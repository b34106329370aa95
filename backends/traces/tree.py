"""From spans as they come to a trace: its tree, what it waited for, and what failed first."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from backends.errors import BackendError
from backends.models import Health, Span, Trace, TraceTree
from backends.text import clean

NS = 1_000_000_000
MAX_SERVICES = 50


class Found(NamedTuple):
    """A span as a system tells it; times in nanoseconds since the epoch. Ids are hexadecimal, and not cleaned."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    operation: str
    start_ns: int
    end_ns: int
    failed: bool = False
    error: str = ""


class _Node(NamedTuple):
    number: int
    depth: int


def trees_of(backend: str, found: Iterable[Found], *, page: str = "") -> list[TraceTree]:
    """Each trace of the spans, the newest first; `page`: where one is shown, before its id."""
    by_trace: dict[str, list[Found]] = {}
    for span in found:
        by_trace.setdefault(span.trace_id, []).append(span)
    trees = [tree_of(backend, spans, page=page) for spans in by_trace.values()]
    return sorted(trees, key=lambda tree: tree.started_at, reverse=True)


def summary_of(tree: TraceTree) -> Trace:
    """The same without its spans."""
    return Trace(**{name: getattr(tree, name) for name in Trace.__struct_fields__})


def tree_of(backend: str, found: Sequence[Found], *, page: str = "") -> TraceTree:
    """One trace of at least one span. Raises BackendError(malformed) for times that are none."""
    found = list(dict.fromkeys(found))  # a collector that sent again leaves spans twice
    order, children, orphans = _ordered(found)
    roots = [node.number for node in order if node.depth == 0]
    own = _critical(found, children, roots)
    failed = [node for node in order if found[node.number].failed]
    first = min(failed, key=lambda node: (found[node.number].end_ns, -node.depth)).number if failed else None
    begin = min(span.start_ns for span in found)
    root = found[roots[0]]
    trace_id = clean(root.trace_id, 64)
    state: Health = "critical" if root.failed else "warning" if failed else "ok"
    return TraceTree(
        ref=f"{backend}/{trace_id}", backend=backend, trace_id=trace_id,
        service=clean(root.service, 100), operation=clean(root.operation, 200),
        started_at=time_of(begin), duration_s=(max(span.end_ns for span in found) - begin) / NS,
        state=state, span_count=len(found), errors=len(failed),
        services=tuple(dict.fromkeys(clean(found[node.number].service, 100) for node in order))[:MAX_SERVICES],
        url=page + trace_id if page else None,
        spans=tuple(
            _span(found[node.number], node.depth, begin, own[node.number], is_first=node.number == first)
            for node in order
        ),
        orphans=orphans,
    )  # fmt: skip


def time_of(ns: int) -> datetime:
    """Raises BackendError(malformed) for what is no time."""
    try:
        return datetime.fromtimestamp(ns // 1000 / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        raise BackendError("malformed", f"a span began at {ns} ns, which is no time") from None


def _span(span: Found, depth: int, begin: int, critical_ns: int, *, is_first: bool) -> Span:
    return Span(
        span_id=clean(span.span_id, 64), parent_id=clean(span.parent_id, 64), depth=depth,
        service=clean(span.service, 100), operation=clean(span.operation, 200),
        started_at=time_of(span.start_ns), offset_s=(span.start_ns - begin) / NS,
        duration_s=max(0, span.end_ns - span.start_ns) / NS, critical_s=critical_ns / NS,
        state="critical" if span.failed else "ok", error=clean(span.error, 500), first_error=is_first,
    )  # fmt: skip


def _ordered(found: Sequence[Found]) -> tuple[list[_Node], list[list[int]], int]:
    """All spans, each behind the one above it; what is below each; and how many orphans there are."""
    place: dict[str, int] = {}
    for index, span in enumerate(found):
        place.setdefault(span.span_id, index)
    children: list[list[int]] = [[] for _ in found]
    roots, orphans = [], 0
    by_time = sorted(range(len(found)), key=lambda index: (found[index].start_ns, -found[index].end_ns, index))
    for index in by_time:
        span = found[index]
        # Of two spans with one id (Zipkin: both sides of a call) the second is below the first.
        twin = place[span.span_id]
        above = twin if twin != index else place.get(span.parent_id) if span.parent_id else None
        if above is None or above == index:
            roots.append(index)
            orphans += bool(span.parent_id)
        else:
            children[above].append(index)
    order: list[_Node] = []
    seen: set[int] = set()
    rest = iter(by_time)
    waiting = [_Node(index, 0) for index in reversed(roots)]
    while len(order) < len(found):
        if not waiting:  # spans that name each other as what is above them
            waiting.append(_Node(next(index for index in rest if index not in seen), 0))
        node = waiting.pop()
        if node.number in seen:
            continue
        seen.add(node.number)
        order.append(node)
        children[node.number] = [index for index in children[node.number] if index not in seen]
        waiting += [_Node(index, node.depth + 1) for index in reversed(children[node.number])]
    return order, children, orphans


def _critical(found: Sequence[Found], children: Sequence[Sequence[int]], roots: Sequence[int]) -> list[int]:
    """How many nanoseconds the trace waited for each span itself.

    Backwards from the end: what ended last before that held its parent up; before it began, what ended last before
    that. A child that outlives its parent held it up to the parent's end, and no longer.
    """
    own = [0] * len(found)
    end = max(found[root].end_ns for root in roots)
    tops = sorted(roots, key=lambda root: found[root].end_ns, reverse=True)
    waiting = []
    for root in tops:
        if found[root].end_ns <= end and found[root].start_ns < end:
            waiting.append((root, found[root].start_ns, found[root].end_ns))
            end = found[root].start_ns
    while waiting:
        index, low, at = waiting.pop()
        end = at
        for child in sorted(children[index], key=lambda child: found[child].end_ns, reverse=True):
            start, ended = max(low, found[child].start_ns), min(end, found[child].end_ns)
            if ended > at or ended <= start:
                continue
            own[index] += at - ended
            waiting.append((child, start, ended))
            at = start
        own[index] += max(0, at - low)
    return own
