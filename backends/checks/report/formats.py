"""Which reader reads which format, how one is told from another, and what is judged where nobody says otherwise."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Raw, Struct

from backends.checks.findings import Limits
from backends.checks.report import coverage, dvc, junit, k6, sarif, terraform
from backends.checks.report.found import Report, walk
from backends.errors import BackendError
from backends.http import decode_json

FormatName = Literal["junit", "sarif", "k6", "terraform", "dvc", "coverage"]
_BOM = b"\xef\xbb\xbf"


class Format(Struct, frozen=True):
    """`roots`: names that its XML may begin with; `keys`: what its JSON has at the top. `limits` of what it counts."""

    read: Callable[[bytes], Report]
    limits: Mapping[str, Limits]
    roots: frozenset[str] = frozenset()
    keys: frozenset[str] | None = None

    def fits(self, root: str, keys: frozenset[str] | None) -> bool:
        """Whether a document looks like it: an XML of this root, or a JSON table with these keys."""
        return root in self.roots if keys is None else self.keys is not None and self.keys <= keys


NONE = Limits()
NO_ERROR = Limits(crit=0)
NO_CHANGE = Limits(warn=0)
NO_FLOOR = Limits(at_least=True)
FORMATS: dict[FormatName, Format] = {
    "junit": Format(
        junit.read,
        {"failures": NO_ERROR, "errors": NO_ERROR, "skipped": NONE, "tests": NO_FLOOR},
        roots=frozenset({"testsuites", "testsuite"}),
    ),
    "sarif": Format(
        sarif.read, {"error": NO_ERROR, "warning": NO_CHANGE, "note": NONE}, keys=frozenset({"version", "runs"})
    ),
    "k6": Format(k6.read, {"crossed": NO_ERROR, "thresholds": NO_FLOOR}, keys=frozenset({"metrics"})),
    "terraform": Format(
        terraform.read,
        {"destroys": NO_ERROR, **dict.fromkeys(("creates", "changes", "drifted", "outputs"), NO_CHANGE)},
        keys=frozenset({"format_version", "planned_values"}),
    ),
    "coverage": Format(
        coverage.read,
        {"lines": Limits(warn=80, at_least=True), "branches": NO_FLOOR},
        roots=frozenset({"coverage"}),
        keys=frozenset({"meta", "totals"}),
    ),
    "dvc": Format(dvc.read, {"missing": NO_ERROR, "changed": NO_CHANGE}, keys=frozenset()),
}


def labels_of(name: FormatName | None) -> set[str]:
    """What reports of that format count; of all formats, where none is named."""
    chosen = [FORMATS[name]] if name is not None else FORMATS.values()
    return {label for each in chosen for label in each.limits}


def read_report(body: bytes, name: FormatName | None) -> tuple[FormatName, Report]:
    """`body` in the format that is named, else in the one that it looks like. Raises BackendError(malformed)."""
    body = body.removeprefix(_BOM)
    if not body.strip():
        raise BackendError("malformed", "it is empty")
    root, keys = _marks(body)
    # A status of DVC has no key of its own: it is taken for one only where it is named.
    fitting = [each for each, kind in FORMATS.items() if each in (name or each,) and kind.fits(root, keys)]
    if not fitting or (name is None and fitting == ["dvc"]):
        raise BackendError(
            "malformed", f"it is no report of {name}" if name else "its format is not known: name `format`"
        )
    return fitting[0], FORMATS[fitting[0]].read(body)


class _RootFound(Exception):
    pass


def _marks(body: bytes) -> tuple[str, frozenset[str] | None]:
    """The root of an XML document, or the keys of a JSON table."""
    if body.lstrip()[:1] != b"<":
        return "", frozenset(decode_json(body, dict[str, Raw], where="report"))
    root = ""

    def begin(_around: str, tag: str, _attributes: Mapping[str, str]) -> None:
        nonlocal root
        root = tag
        raise _RootFound

    with contextlib.suppress(_RootFound):
        walk(body, begin)
    return root, None
