"""From what dbt did, command after command, to one score for each dataset.

A test counts 1 where it passed, ½ where it warned and 0 where it failed; the freshness of a source is one more of its
checks. What was skipped, or broke before it had a verdict, is in no score, and makes the dataset `unknown`. Where dbt
does no more than warn, nothing is critical, however low the score.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from backends.models import FailedExpectation, Freshness, Health, QualityScore, worst
from backends.quality.dbt.artifacts import (
    BUILT,
    HOOK,
    Invocation,
    Looked,
    Outcome,
    Project,
    SourceFreshness,
    Test,
    Verdict,
    told_apart,
)
from backends.quality.rows import MAX_FAILURES, Limits, as_column, in_words, score_of
from backends.text import clean

MAX_DOWNSTREAM = 50
WARNING = " (warning)"
_HOOK_WORDS = "hook"
_WEIGHT: dict[Verdict, float] = {"pass": 1.0, "warn": 0.5, "fail": 0.0}
_FRESH: dict[Health, Verdict] = {"ok": "pass", "warning": "warn", "critical": "fail", "unknown": "error"}
_BUILD_STATE: dict[Verdict, Health] = {"pass": "ok", "warn": "warning", "fail": "critical", "error": "critical"}


class _Dataset(Struct):
    """What is known of one dataset after some commands: the last outcome of each of its tests and of its build."""

    tests: dict[str, Test] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    build: Outcome | None = None
    freshness: SourceFreshness | None = None
    is_unmeasured: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)

    def measure(self, run_ref: str | None) -> None:
        """One more evaluation of all that is known now."""
        verdicts = [outcome.verdict for outcome in self.outcomes.values()]
        times = [outcome.at for outcome in self.outcomes.values()]
        if self.freshness is not None:
            verdicts.append(_FRESH[self.freshness.state])
            times.append(self.freshness.at)
        judged = [_WEIGHT[verdict] for verdict in verdicts if verdict in _WEIGHT]
        self.rows.append(
            {
                "score": sum(judged) / len(judged) if judged else None,
                "evaluated_at": max(times),
                "passed": verdicts.count("pass"),
                "total": len(judged),
                "run_ref": run_ref,
            }
        )


class Replay(Struct, frozen=True):
    """All datasets after all commands; `newest` was the last that ran something."""

    datasets: dict[str, _Dataset]
    downstream: dict[str, tuple[str, ...]]
    newest: Invocation | None


def judge(backend: str, replay: Replay, limits: Limits, now: datetime, *, all_tests: bool = True) -> list[QualityScore]:
    """By name. `all_tests`: a dataset is unknown where one of its tests has not run since the dataset was built."""
    scores = []
    for name, dataset in sorted(replay.datasets.items()):
        if dataset.tests or dataset.freshness or dataset.is_unmeasured or _build_state(dataset.build) != "ok":
            score = _score(backend, name, dataset, replay.newest, limits, now, all_tests)
            scores.append(replace(score, downstream=_bounded(replay.downstream.get(name, ()))))
    return scores


def replayed(project: Project | None, invocations: Sequence[Invocation], looks: Sequence[Looked]) -> Replay:
    """What `judge` judges. `project` is None where there is no manifest. Nothing that ran is no dataset at all."""
    if not invocations and not looks:
        return Replay({}, {}, None)
    return Replay(
        _replayed(project, invocations, looks),
        project.downstream if project is not None else {},
        max(invocations, key=lambda invocation: invocation.at, default=None),
    )


def _replayed(
    project: Project | None, invocations: Sequence[Invocation], looks: Sequence[Looked]
) -> dict[str, _Dataset]:
    """All datasets after all commands, one after the other."""
    known: dict[str, _Dataset] = {}
    for node, test in (project.tests if project is not None else {}).items():
        for name in test.datasets:
            known.setdefault(name, _Dataset()).tests[node] = test
    newest = max((invocation.at for invocation in invocations), default=None)
    nodes = {outcome.node for invocation in invocations for outcome in invocation.outcomes}
    built = told_apart({node: clean(_name(node), 200) for node in nodes if _kind(node) in BUILT})
    events: list[Invocation | Looked] = [*invocations, *looks]
    for event in sorted(events, key=lambda event: event.at):
        touched: dict[str, _Dataset] = {}
        if isinstance(event, Looked):
            for source in event.sources:
                name = _source_name(project, source.node)
                touched[name] = dataset = known.setdefault(name, _Dataset())
                dataset.freshness = source
        else:
            for outcome in event.outcomes:
                for name, subject in _subjects(project, outcome, built, orphans=event.at == newest):
                    dataset = known.setdefault(name, _Dataset())
                    if subject is None:
                        dataset.build = outcome
                        continue
                    touched[name] = dataset
                    dataset.tests[outcome.node] = subject
                    dataset.outcomes[outcome.node] = outcome
        for dataset in touched.values():
            dataset.measure(event.run_ref if isinstance(event, Invocation) else None)
    if project is not None and looks:  # from dbt 1.8 on, what could not be asked is just not in sources.json
        for name in project.measured:
            dataset = known.setdefault(name, _Dataset())
            dataset.is_unmeasured = dataset.freshness is None
    return known


def _kind(node: str) -> str:
    return node.partition(".")[0]


def _name(node: str) -> str:
    return node.split(".", 2)[-1]


def _subjects(
    project: Project | None, outcome: Outcome, names: Mapping[str, str], *, orphans: bool
) -> Iterable[tuple[str, Test | None]]:
    """The datasets that an outcome is about, with the test where it is one. `names`: of what was built, for where there
    is no manifest. A hook that failed is one of its own: what it did not do (grants, a refresh) is of all of them."""
    if "." not in outcome.node:
        return [(clean(outcome.node, 200), None)]  # no id of dbt
    if _kind(outcome.node) == HOOK and (project is None or orphans or outcome.node in project.hooks):
        return [(clean(_name(outcome.node), 200), None)]
    if project is not None:
        if (test := project.tests.get(outcome.node)) is not None:
            return [(dataset, test) for dataset in test.datasets]
        if (built := project.datasets.get(outcome.node)) is not None:
            return [(built, None)]
        if not orphans:  # taken out since; or the manifest is older than the newest results
            return []
    kind, _, rest = outcome.node.partition(".")
    package, name = (clean(part, 200) for part in rest.partition(".")[::2])
    if kind == "test":
        return [(package, Test(name.rpartition(".")[0] or name, (package,)))]
    return [(names[outcome.node], None)] if kind in BUILT and project is None else []


def _source_name(project: Project | None, node: str) -> str:
    found = project.datasets.get(node) if project is not None else None
    return found or clean(".".join(node.split(".")[2:]) or node, 200)


def _score(
    backend: str,
    name: str,
    dataset: _Dataset,
    newest: Invocation | None,
    limits: Limits,
    now: datetime,
    all_tests: bool,
) -> QualityScore:
    rows = dataset.rows or [{"score": None, "evaluated_at": dataset.build.at if dataset.build else None}]
    failures, errors = _findings(dataset)
    freshness, stale_look = _freshness(dataset.freshness, now)
    score = score_of(backend, name, [*rows[:-1], {**rows[-1], "failures": as_column(failures)}], limits, now)
    verdict = score.state
    if verdict == "critical" and all(failure.detail.endswith(WARNING) for failure in failures):
        verdict = "warning"
    states, reasons = [verdict], [score.reason]
    if dataset.build is not None and (state := _build_state(dataset.build)) != "ok":
        states.append(state)
        reasons.insert(0, _build_words(dataset.build))
    if words := _without_verdict(dataset, newest, all_tests):
        states.append("unknown")
        reasons.append(words)
    if errors:
        states.append("unknown")
        reasons.append(f"{len(errors)} without a verdict: {errors[0].check}")
    if freshness is not None:
        states.append(freshness.state)
        reasons.append(stale_look)
    return replace(
        score,
        state=worst(states),
        reason="; ".join(filter(None, reasons)) or None,
        errors=tuple(errors[:MAX_FAILURES]),
        freshness=freshness,
    )


def _findings(dataset: _Dataset) -> tuple[list[FailedExpectation], list[FailedExpectation]]:
    """The checks that the data did not pass, failures before warnings, and those without a verdict."""
    failed, warned, errors = [], [], []
    for node, outcome in dataset.outcomes.items():
        check = dataset.tests[node].words
        found = "" if outcome.failures is None else f"{outcome.failures} row{'s' * (outcome.failures != 1)}"
        if outcome.verdict == "fail":
            failed.append(FailedExpectation(check, found or outcome.message))
        elif outcome.verdict == "warn":
            warned.append(FailedExpectation(check, f"{found or outcome.message}{WARNING}"))
        elif outcome.verdict != "pass":
            errors.append(FailedExpectation(check, outcome.message or outcome.verdict))
    if dataset.is_unmeasured:
        errors.append(FailedExpectation("freshness", "not measured by the last commands"))
    if (look := dataset.freshness) is not None and look.state != "ok":
        limit = look.error_after_s if look.state == "critical" else look.warn_after_s
        if look.state == "unknown":
            errors.append(FailedExpectation("freshness", look.message))
        else:
            age = in_words((look.at - look.loaded_at).total_seconds()) if look.loaded_at else "not known"
            words = f"newest row {age} old" + (f", limit {in_words(limit)}" if limit else "")
            if look.state == "critical":
                failed.insert(0, FailedExpectation("freshness", words))
            else:
                warned.insert(0, FailedExpectation("freshness", words + WARNING))
    return failed + warned, errors


def _freshness(look: SourceFreshness | None, now: datetime) -> tuple[Freshness | None, str | None]:
    """As it is now: a verdict holds as long as the row that it is about is within its limits."""
    if look is None:
        return None, None
    state, words = look.state, None
    limit = look.warn_after_s or look.error_after_s
    if state == "ok" and limit and look.loaded_at and (now - look.loaded_at).total_seconds() > limit:
        state = "unknown"
        words = f"nobody has looked at its freshness for {in_words((now - look.at).total_seconds())}"
    found = Freshness(
        state=state,
        loaded_at=look.loaded_at,
        checked_at=look.at,
        warn_after_s=look.warn_after_s,
        error_after_s=look.error_after_s,
    )
    return found, words


def _build_state(build: Outcome | None) -> Health:
    return "ok" if build is None else _BUILD_STATE.get(build.verdict, "unknown")


def _build_words(build: Outcome) -> str:
    kind = _HOOK_WORDS if _kind(build.node) == HOOK else _kind(build.node)
    what = {"warn": "was built in part", "skipped": "was skipped", "unknown": "ended in an unknown way"}
    words = f"the {kind} {what.get(build.verdict, 'failed')}"
    return f"{words}: {clean(build.message, 200)}" if build.message else words


def _without_verdict(dataset: _Dataset, newest: Invocation | None, all_tests: bool) -> str | None:
    """Which tests say nothing of the data as it was built last, where that matters."""
    built_at = dataset.build.at if dataset.build is not None and dataset.build.verdict in ("pass", "warn") else None
    total = len(dataset.tests)
    current = [
        node
        for node in dataset.tests
        if node in dataset.outcomes and (built_at is None or dataset.outcomes[node].at >= built_at)
    ]
    missing = total - len(current)
    if not missing or (current and not all_tests):
        return None
    since = " since it was built" if built_at is not None else ""
    last = f" (the last command was dbt {newest.which})" if newest is not None and newest.which else ""
    return f"{missing} of {total} tests have no result{since}{last}"


def _bounded(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) <= MAX_DOWNSTREAM:
        return tuple(names)
    return (*names[:MAX_DOWNSTREAM], f"and {len(names) - MAX_DOWNSTREAM} more")
