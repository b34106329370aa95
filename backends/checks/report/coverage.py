"""Coverage: the JSON of coverage.py, and the XML of Cobertura, which most others can write.

Sources: https://coverage.readthedocs.io/en/latest/commands/cmd_json.html, https://cobertura.github.io/cobertura/.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from backends.checks.report.found import Count, Report, said_at, walk
from backends.errors import BackendError
from backends.http import decode_json
from backends.times import parse_time


class _Totals(Struct):
    covered_lines: int
    num_statements: int
    covered_branches: int = 0
    num_branches: int = 0


class _Meta(Struct, frozen=True):
    timestamp: str = ""


class _Coverage(Struct):
    totals: _Totals
    meta: _Meta = _Meta()


def read(body: bytes) -> Report:
    """The share of lines, and of branches where they were measured. Of no line at all nothing is proven."""
    if body.lstrip()[:1] == b"<":
        return _cobertura(body)
    found = decode_json(body, _Coverage, where="coverage")
    lines, branches = (
        _share(found.totals.covered_lines, found.totals.num_statements),
        _share(found.totals.covered_branches, found.totals.num_branches),
    )
    return _report(lines, branches, said_at(found.meta.timestamp))


def _cobertura(body: bytes) -> Report:
    root: dict[str, str] = {}

    def begin(around: str, tag: str, attributes: Mapping[str, str]) -> None:
        if not around:
            root.update(attributes)

    walk(body, begin)
    try:
        lines, branches = (_rate(root, *names) for names in (("line", "lines"), ("branch", "branches")))
        made_at = parse_time(float(root["timestamp"])) if "timestamp" in root else None
    except ValueError as error:
        raise BackendError("malformed", f"not Cobertura: {error}") from None
    if "line-rate" not in root:
        raise BackendError("malformed", "not Cobertura: its root has no line-rate")
    return _report(lines, branches, made_at)


def _rate(root: Mapping[str, str], one: str, many: str) -> float | None:
    """Of the two numbers where both are there: the rate is rounded, and of nothing it may be 1."""
    covered, valid = root.get(f"{many}-covered"), root.get(f"{many}-valid")
    if valid is not None and (covered is not None or float(valid) == 0):
        return _share(float(covered or 0), float(valid))
    return float(root[f"{one}-rate"]) if f"{one}-rate" in root else None


def _share(covered: float, valid: float) -> float | None:
    return covered / valid if valid > 0 else None


def _report(lines: float | None, branches: float | None, made_at: datetime | None) -> Report:
    shares = [(label, share) for label, share in (("lines", lines), ("branches", branches)) if share is not None]
    if any(not 0 <= share <= 1 for _, share in shares):
        raise BackendError("malformed", "coverage: a share that is not between 0 and 1")
    counts = tuple(Count(label, share * 100, f"{share:.1%} of {label} covered", "%") for label, share in shares)
    return Report(
        summary=", ".join(count.words for count in counts),
        counts=counts,
        made_at=made_at,
        unjudged="" if lines is not None else "there is no line to cover",
    )
