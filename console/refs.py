"""From what an operator typed to the one thing that is meant."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from backends.models import PipelineRun
from console.errors import EXIT_NOT_FOUND, CommandError


class HasRef(Protocol):
    """What can be named on the command line."""

    @property
    def ref(self) -> str:
        """Unique over all backends."""


Referable = TypeVar("Referable", bound=HasRef)

MAX_CANDIDATES = 5


def find(items: Sequence[Referable], wanted: str, noun: str) -> Referable:
    """The item whose ref is `wanted`, or begins with it, with or without the backend's name in front.

    Raises CommandError(5) for none, and for several, naming some of them.
    """
    exact = [item for item in items if wanted in (item.ref, _without_backend(item.ref))]
    found = exact or _beginning_with(f"{wanted.rstrip('/')}/", items) or _beginning_with(wanted, items)
    if len(found) == 1:
        return found[0]
    return _fail(found, items, wanted, noun)


def _beginning_with(wanted: str, items: Sequence[Referable]) -> list[Referable]:
    return [item for item in items if item.ref.startswith(wanted) or _without_backend(item.ref).startswith(wanted)]


def find_run(runs: Sequence[PipelineRun], wanted: str) -> PipelineRun:
    """As `find`; also `PIPELINE@latest` and `PIPELINE@failed`, the newest (failed) run of a pipeline."""
    name, at, which = wanted.partition("@")
    if at and which in ("latest", "failed"):
        own = [run for run in runs if name in (run.pipeline, f"{run.backend}/{run.pipeline}")]
        matching = [run for run in own if which == "latest" or run.state == "failed"]
        if matching:
            return matching[0]
        if own:
            raise CommandError(EXIT_NOT_FOUND, "not_found", f"no failed run of {name}", fix="`teal run list`")
        return _fail([], runs, wanted, "pipeline")
    return find(runs, wanted, "run")


def _without_backend(ref: str) -> str:
    return ref.partition("/")[2] or ref


def _fail(found: Sequence[Referable], known: Sequence[Referable], wanted: str, noun: str) -> Referable:
    if found:
        names = ", ".join(item.ref for item in found[:MAX_CANDIDATES])
        message = f'"{wanted}" means {len(found)} {noun}s'
        raise CommandError(EXIT_NOT_FOUND, "ambiguous", message, fix=f"give more of it: {names}")
    names = ", ".join(item.ref for item in known[:MAX_CANDIDATES]) or "none"
    raise CommandError(EXIT_NOT_FOUND, "not_found", f'no {noun} "{wanted}"', fix=f"there are: {names}")
