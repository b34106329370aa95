"""How the sources of a context answered, and what went wrong with them, as documents say it."""

from collections.abc import Iterable

import msgspec

from console.ports.store import Snapshot


class SourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one source answered."""

    panel: str
    name: str
    type: str
    ok: bool
    age_s: float | None
    latency_ms: int | None
    error: str | None


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that went wrong: a kind, where, what, what to do."""

    kind: str
    source: str | None
    message: str
    fix: str


def source_reports(snapshots: Iterable[Snapshot]) -> list[SourceReport]:
    """One report a source."""
    return [
        SourceReport(
            panel=snapshot.key.panel,
            name=snapshot.key.name,
            type=snapshot.type,
            ok=snapshot.error is None and snapshot.fetched_at is not None,
            age_s=None if (age := snapshot.age_s()) is None else round(age, 1),
            latency_ms=None if snapshot.latency_ms is None else round(snapshot.latency_ms),
            error=snapshot.error.message if snapshot.error else None,
        )
        for snapshot in snapshots
    ]


def error_reports(snapshots: Iterable[Snapshot]) -> list[ErrorReport]:
    """One report for each source that failed, or was never heard of in time, and for each part that one lacks."""
    reports: list[ErrorReport] = []
    for snapshot in snapshots:
        source = f"{snapshot.key.panel}.{snapshot.key.name}"
        if snapshot.error is not None:
            error = snapshot.error
            reports.append(ErrorReport(kind=error.kind, source=source, message=error.message, fix=error.fix))
        elif snapshot.fetched_at is None:
            message, fix = "no answer in time", "raise --timeout, or look at the system directly"
            reports.append(ErrorReport(kind="timeout", source=source, message=message, fix=fix))
        reports += [
            ErrorReport(kind=part.kind, source=source, message=part.message, fix=part.fix) for part in snapshot.missing
        ]
    return [report for number, report in enumerate(reports) if report not in reports[:number]]


def journal_reports(unknown: str) -> list[ErrorReport]:
    """The report that the journal can not be read, where `unknown` says why."""
    fix = "what is live is read from the switch; `teal doctor` looks at the journal"
    return [ErrorReport(kind="unreachable", source="journal", message=unknown, fix=fix)] if unknown else []
