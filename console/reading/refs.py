"""From what an operator typed to the one thing that is meant."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from backends.alerts.naming import told_apart
from backends.models import Alert, PipelineRun
from console.errors import EXIT_NOT_FOUND, CommandError, exit_code_of
from console.ports.store import Snapshot
from console.reading.answers import error_reports


class HasRef(Protocol):
    """What can be named on the command line."""

    @property
    def ref(self) -> str:
        """Unique over all backends."""


Referable = TypeVar("Referable", bound=HasRef)

MAX_CANDIDATES = 5


def find(items: Sequence[Referable], wanted: str, noun: str, sources: Sequence[Snapshot] = ()) -> Referable:
    """The item whose ref is `wanted`, with or without the backend's name in front; the alert of that name; the one
    whose ref, or name, begins with it.

    Raises CommandError: 5 for several, naming some of them; 5 for none; and where one of `sources` may have it and was
    not heard of, the exit code of its failure, since what is unknown is not "not there".
    """
    exact = [item for item in items if wanted in (item.ref, _without_backend(item.ref))]
    named = [item for item in items if wanted == _name_of(item)]
    found = exact or named or _beginning_with(f"{wanted.rstrip('/')}/", items) or _beginning_with(wanted, items)
    if len(found) == 1:
        return found[0]
    return _fail(found, items, wanted, noun, sources)


def _beginning_with(wanted: str, items: Sequence[Referable]) -> list[Referable]:
    return [
        item
        for item in items
        if any(name.startswith(wanted) for name in (item.ref, _without_backend(item.ref), _name_of(item)))
    ]


def _name_of(item: HasRef) -> str:
    """What people call it, where its ref does not say that: the name of an alert."""
    return item.name if isinstance(item, Alert) else ""


def _described(items: Sequence[HasRef]) -> str:
    """Their refs; of alerts also names and the labels in which they differ."""
    alerts = [item for item in items if isinstance(item, Alert)]
    shown = [
        f"{told_apart(item, alerts)} {item.ref}" if isinstance(item, Alert) else item.ref
        for item in items[:MAX_CANDIDATES]
    ]
    return ", ".join([*shown, *(["…"] if len(items) > MAX_CANDIDATES else [])])


def find_run(runs: Sequence[PipelineRun], wanted: str, sources: Sequence[Snapshot] = ()) -> PipelineRun:
    """As `find`; also `PIPELINE@latest` and `PIPELINE@failed`, the newest (failed) run of a pipeline."""
    name, at, which = wanted.partition("@")
    if at and which in ("latest", "failed"):
        own = [run for run in runs if name in (run.pipeline, f"{run.backend}/{run.pipeline}")]
        matching = [run for run in own if which == "latest" or run.state == "failed"]
        if matching:
            return matching[0]
        if own:
            raise CommandError(EXIT_NOT_FOUND, "not_found", f"no failed run of {name}", fix="`teal run list`")
        return _fail([], runs, wanted, "pipeline", sources)
    return find(runs, wanted, "run", sources)


def _without_backend(ref: str) -> str:
    return ref.partition("/")[2] or ref


def _fail(
    found: Sequence[Referable], known: Sequence[Referable], wanted: str, noun: str, sources: Sequence[Snapshot]
) -> Referable:
    if found:
        names = _described(found)
        message = f'"{wanted}" means {len(found)} {noun}s'
        raise CommandError(EXIT_NOT_FOUND, "ambiguous", message, fix=f"give more of it: {names}")
    names = _described(known) or "none"
    raise not_there(wanted, noun, sources, fix=f"there are: {names}")


def not_there(wanted: str, noun: str, sources: Sequence[Snapshot], *, fix: str) -> CommandError:
    """That nothing is called `wanted`; or, where a source had no answer that may have it (any of them, or the one that
    `wanted` names), the failure of that source."""
    name = wanted.partition("/")[0]
    own = [source for source in sources if source.key.name == name] or sources
    for lost in error_reports(own):
        message = f'no {noun} "{wanted}" in what answered, and {lost.source} did not: {lost.message}'
        return CommandError(exit_code_of(lost.kind), lost.kind, message, fix=lost.fix)
    return CommandError(EXIT_NOT_FOUND, "not_found", f'no {noun} "{wanted}"', fix=fix)
