"""What dbt writes into its target directory, reduced to what matters to the quality of data.

Sources: https://schemas.getdbt.com (run-results v4 to v6, sources v3, manifest v8 to v12), and dbt 1.4 to 2.0 as run.
dbt 2 writes the words of `sources.json` capitalized, leaves messages null, and knows `reused`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from backends.errors import BackendError
from backends.models import Health
from backends.records import decode_mended
from backends.text import clean
from backends.times import parse_time

Verdict = Literal["pass", "warn", "fail", "error", "skipped", "unknown"]

_VERDICTS: dict[str, Verdict] = {
    "pass": "pass", "success": "pass", "no-op": "pass", "reused": "pass",
    "warn": "warn", "partial success": "warn",
    "fail": "fail", "error": "error", "runtime error": "error", "skipped": "skipped",
}  # fmt: skip
_FRESH: dict[str, Health] = {"pass": "ok", "warn": "warning", "error": "critical"}
# What these write looks like a success of everything, and nothing ran.
_RUNS_NOTHING = frozenset({"compile", "generate", "docs", "show", "list", "parse", "run-operation", "clone"})
_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
BUILT = ("model", "seed", "snapshot")
HOOK = "operation"
RUN_REF = "TEAL_RUN_REF"


class Outcome(Struct, frozen=True):
    """How one node ended: a test, a model, a seed or a snapshot. `failures` counts the rows that a test found.

    `node` is the id as dbt wrote it: a key, never shown.
    """

    node: str
    verdict: Verdict
    at: datetime
    failures: int | None = None
    message: str = ""


class Invocation(Struct, frozen=True):
    """One command of dbt that ran something: `which` command, when it wrote its results, by which run."""

    id: str
    which: str
    at: datetime
    outcomes: tuple[Outcome, ...]
    run_ref: str | None = None


class SourceFreshness(Struct, frozen=True):
    """What `dbt source freshness` found of one source. `state` is dbt's verdict at `at`."""

    node: str
    state: Health
    at: datetime
    loaded_at: datetime | None = None
    warn_after_s: float | None = None
    error_after_s: float | None = None
    message: str = ""


class Looked(Struct, frozen=True):
    """One command that measured the freshness of sources."""

    id: str
    at: datetime
    sources: tuple[SourceFreshness, ...]


class _Metadata(Struct):
    generated_at: str = ""
    invocation_id: str | None = None
    dbt_schema_version: str = ""
    env: dict[str, Any] = {}


class _Timing(Struct):
    completed_at: str | None = None


class _Result(Struct):
    unique_id: str
    status: str | None = None
    timing: list[_Timing] | None = None
    message: Any = None
    failures: int | None = None


class _RunResults(Struct):
    metadata: _Metadata
    results: list[_Result]
    args: dict[str, Any] | None = None


class _Period(Struct):
    count: int | None = None
    period: str | None = None


class _Criteria(Struct):
    warn_after: _Period | None = None
    error_after: _Period | None = None


class _Source(Struct):
    unique_id: str
    status: str | None = None
    error: Any = None
    max_loaded_at: str | None = None
    snapshotted_at: str | None = None
    criteria: _Criteria | None = None


class _Sources(Struct):
    metadata: _Metadata
    results: list[_Source]


class _TestMetadata(Struct):
    name: str = ""
    namespace: str | None = None


class _DependsOn(Struct):
    nodes: list[str] | None = None


class _Node(Struct):
    resource_type: str = ""
    name: str = ""
    source_name: str = ""
    version: Any = None
    column_name: str | None = None
    attached_node: str | None = None
    test_metadata: _TestMetadata | None = None
    depends_on: _DependsOn | None = None
    owner: Any = None
    type: str | None = None
    freshness: _Criteria | None = None


class _Manifest(Struct):
    metadata: _Metadata
    nodes: dict[str, _Node]
    sources: dict[str, _Node] = {}
    exposures: dict[str, _Node] = {}
    child_map: dict[str, list[str]] = {}


def _at(metadata: _Metadata, where: str) -> datetime:
    at = parse_time(metadata.generated_at)
    if at is None:
        raise BackendError("malformed", f"{where}: metadata.generated_at is not a time")
    return at


def read_run_results(body: bytes) -> Invocation | None:
    """`run_results.json`; None where the command that wrote it ran nothing, or on no rows (`--empty`).

    Raises BackendError(malformed).
    """
    found = decode_mended(body, _RunResults, where="run_results.json")
    at = _at(found.metadata, "run_results.json")
    args = found.args or {}
    which = clean(str(args.get("which") or ""), 40)
    if which in _RUNS_NOTHING or args.get("empty") is True:
        return None
    run_ref = found.metadata.env.get(RUN_REF)
    return Invocation(
        id=clean(found.metadata.invocation_id or found.metadata.generated_at, 100),
        which=which,
        at=at,
        outcomes=tuple(_outcome(result, at) for result in found.results),
        run_ref=clean(str(run_ref), 300) if run_ref else None,
    )


def _outcome(result: _Result, at: datetime) -> Outcome:
    completed = [time for timing in result.timing or () if (time := parse_time(timing.completed_at))]
    word = (result.status or "").casefold()
    message = clean(str(result.message), 500) if result.message is not None else ""
    verdict = _VERDICTS.get(word, "unknown")
    if verdict == "unknown":
        message = f'status "{clean(word, 40)}" is not known' + (f": {message}" if message else "")
    if "." not in result.unique_id:
        verdict, message = "unknown", f"a result without an id that dbt writes: {clean(result.unique_id, 80)}"
    return Outcome(result.unique_id, verdict, max(completed, default=at), result.failures, message)


def read_sources(body: bytes) -> Looked:
    """`sources.json`. Raises BackendError(malformed)."""
    found = decode_mended(body, _Sources, where="sources.json")
    at = _at(found.metadata, "sources.json")
    return Looked(
        id=clean(found.metadata.invocation_id or found.metadata.generated_at, 100),
        at=at,
        sources=tuple(_freshness(source, at) for source in found.results),
    )


def _freshness(source: _Source, at: datetime) -> SourceFreshness:
    criteria = source.criteria or _Criteria()
    word = (source.status or "").casefold()
    state = _FRESH.get(word, "unknown")
    message = ""
    if state == "unknown":
        message = clean(str(source.error or f'status "{word}" is not known'), 500)
    return SourceFreshness(
        node=source.unique_id,
        state=state,
        at=parse_time(source.snapshotted_at) or at,
        loaded_at=parse_time(source.max_loaded_at),
        warn_after_s=_seconds(criteria.warn_after),
        error_after_s=_seconds(criteria.error_after),
        message=message,
    )


def _seconds(period: _Period | None) -> float | None:
    if period is None or period.count is None:
        return None
    unit = _PERIODS.get((period.period or "").casefold())
    return period.count * unit if unit else None


class Test(Struct, frozen=True):
    """A test of data: in the words of the project, and the datasets that it says something of."""

    words: str
    datasets: tuple[str, ...]


class Project(Struct, frozen=True):
    """The manifest as it matters. `datasets`: node to what people call it; `downstream`: dataset to what is made of it.

    A test that is not in `tests` is none of data (a unit test), or was taken out of the project. `measured`: sources
    whose freshness has limits; `hooks`: what runs at the start or the end of a command.
    """

    datasets: dict[str, str] = field(default_factory=dict)
    tests: dict[str, Test] = field(default_factory=dict)
    downstream: dict[str, tuple[str, ...]] = field(default_factory=dict)
    measured: frozenset[str] = frozenset()
    hooks: frozenset[str] = frozenset()


def read_manifest(body: bytes) -> Project:
    """`manifest.json`, of which most is macros and compiled code. Raises BackendError(malformed)."""
    found = decode_mended(body, _Manifest, where="manifest.json")
    plain = {node: _dataset(wire) for node, wire in found.nodes.items() if wire.resource_type in BUILT} | {
        node: clean(f"{wire.source_name}.{wire.name}", 200) for node, wire in found.sources.items()
    }
    datasets = told_apart(plain)
    hooks = frozenset(node for node, wire in found.nodes.items() if wire.resource_type == HOOK)
    tests = {
        node: Test(_test_words(wire), tuple(sorted(_subjects(wire, datasets))))
        for node, wire in found.nodes.items()
        if wire.resource_type == "test"
    }
    names = datasets | {node: _exposure(wire) for node, wire in found.exposures.items()}
    used = {dataset for test in tests.values() for dataset in test.datasets} | set(datasets.values())
    downstream: dict[str, tuple[str, ...]] = {}
    for node, dataset in datasets.items():
        if dataset in used:
            downstream[dataset] = _downstream(node, found.child_map, names)
    measured = frozenset(datasets[node] for node, wire in found.sources.items() if _has_limits(wire.freshness))
    return Project(datasets, tests, downstream, measured, hooks)


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Node to name; those that share one are called `package.name`, and by their node where they share even that."""
    found = dict(names)
    whole = {node: clean(node, 200) for node in names}
    in_package = {
        node: f"{clean(node.split('.')[1], 200)}.{name}" if "." in node else name for node, name in names.items()
    }
    for longer in (in_package, whole):
        count = Counter(found.values())
        found = {node: longer.get(node, name) if count[name] > 1 else name for node, name in found.items()}
    return found


def _has_limits(criteria: _Criteria | None) -> bool:
    if criteria is None:
        return False
    return any(_seconds(period) is not None for period in (criteria.warn_after, criteria.error_after))


def _dataset(node: _Node) -> str:
    return clean(node.name if node.version is None else f"{node.name}.v{node.version}", 200)


def _test_words(node: _Node) -> str:
    if node.test_metadata is None or not node.test_metadata.name:
        return clean(node.name, 200)
    package = f"{node.test_metadata.namespace}." if node.test_metadata.namespace else ""
    return clean(f"{package}{node.test_metadata.name} {node.column_name or ''}".rstrip(), 200)


def _subjects(node: _Node, datasets: Mapping[str, str]) -> set[str]:
    """The dataset that a test is written at; one of its own in SQL is about all that it reads."""
    if (attached := datasets.get(node.attached_node or "")) is not None:
        return {attached}
    parents = [parent for parent in (node.depends_on or _DependsOn()).nodes or () if parent in datasets]
    if node.test_metadata is not None and parents:
        # Until dbt 1.4 nothing says which of them it is attached to; `relationships` names the other one first.
        parents = parents[-1:]
    return {datasets[parent] for parent in parents}


def _exposure(node: _Node) -> str:
    owner = node.owner if isinstance(node.owner, dict) else {}
    who = owner.get("name") or owner.get("email")
    if isinstance(who, list):
        who = ", ".join(map(str, who))
    kind = node.type or "exposure"
    return clean(f"{kind} {node.name}" + (f" ({who})" if who else ""), 200)


def _downstream(start: str, children: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> tuple[str, ...]:
    """Everything below `start`: first what people read, then what is built, each nearest first."""
    seen, order, level = {start}, [], [start]
    while level:
        level = [child for node in level for child in children.get(node, ()) if child not in seen]
        level = list(dict.fromkeys(level))
        seen.update(level)
        order += level
    found = [(node.startswith("exposure."), names[node]) for node in order if node in names]
    return tuple(dict.fromkeys([name for read, name in found if read] + [name for read, name in found if not read]))
