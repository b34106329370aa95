"""Validation results as Great Expectations 0.15 to 1.x writes them, reduced to what matters to the quality of data.

Source: what GX 0.18 and 1.24 write (tests/fixtures/gx); no schema is published. Values that break an expectation are in
these files, too: they are data of people, and are never shown. Only counts are.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from backends.artifacts.storage import Artifact
from backends.errors import BackendError
from backends.json_text import decode_python
from backends.models import FailedExpectation
from backends.quality.expectation_words import expectation_words
from backends.records import decode_mended
from backends.text import clean, counted
from backends.times import parse_time

_RUN_TIME = re.compile(r"\d{8}T\d{6}(\.\d+)?Z")
_NONE = "__none__"


class Validation(Struct, frozen=True):
    """One suite on one dataset, once. `percent` is the share of expectations that were met, as GX wrote it."""

    dataset: str
    suite: str
    at: datetime | None
    percent: float | None
    passed: int
    total: int
    failures: tuple[FailedExpectation, ...]
    errors: tuple[FailedExpectation, ...]
    is_soft: bool
    """All failures are of a severity below critical."""
    source: str = ""
    """The data source of the dataset, where it says."""


class Stored(Struct, frozen=True):
    """Where a result lies in a store: `series` has all results of one suite on one batch, `at` by its path."""

    artifact: Artifact
    series: str
    at: datetime
    suite: str = ""
    batch: str = ""


class _Expectation(Struct):
    type: str = ""
    expectation_type: str = ""  # until 0.18
    kwargs: dict[str, Any] = {}
    severity: str = "critical"


class _Result(Struct):
    expectation_config: _Expectation
    success: bool | None = None
    result: dict[str, Any] | None = None
    exception_info: Any = None


class _Statistics(Struct):
    evaluated_expectations: int = 0
    successful_expectations: int = 0
    success_percent: float | None = None


class _ValidationResult(Struct):
    results: list[_Result]
    statistics: _Statistics
    suite_name: str | None = None
    meta: dict[str, Any] = {}


def stored(artifact: Artifact) -> Stored:
    """By GX's layout `<suite…>/<run name>/<run time>/<batch>.json`, else by the directory and the time of the file."""
    parts = artifact.name.removesuffix(".json").split("/")
    if len(parts) >= 4 and _RUN_TIME.fullmatch(parts[-2]) and (at := parse_time(parts[-2])) is not None:
        suite = ".".join(parts[:-3])
        batch = "" if parts[-1] == _NONE else clean(parts[-1], 200)
        return Stored(artifact, f"{suite}\n{parts[-1]}", at, clean(suite, 200), batch)
    return Stored(artifact, "/".join(parts[:-1]), datetime.fromtimestamp(artifact.modified_at, UTC))


def read_validation(body: bytes) -> Validation:
    """One result. Raises BackendError(malformed)."""
    found = _decoded(body)
    meta = found.meta
    run_id = meta.get("run_id")
    failures, errors, severities = [], [], set()
    for result in found.results:
        if (message := _exception(result.exception_info)) is not None:
            errors.append(FailedExpectation(_words(result.expectation_config), clean(message, 500)))
        elif result.success is not True:
            severity = result.expectation_config.severity.casefold()
            severities.add(severity)
            detail = _counts(result.result or {}) + (f" ({clean(severity, 20)})" if severity != "critical" else "")
            failures.append(FailedExpectation(_words(result.expectation_config), detail.strip()))
    passed = found.statistics.successful_expectations
    total = found.statistics.evaluated_expectations - len(errors)
    percent = found.statistics.success_percent
    if errors:  # GX counts them as not met
        percent = 100 * passed / total if total > 0 else None
    return Validation(
        dataset=_dataset(found),
        suite=clean(found.suite_name or str(meta.get("expectation_suite_name") or ""), 200),
        at=parse_time(run_id.get("run_time") if isinstance(run_id, dict) else None)
        or parse_time(meta.get("validation_time")),
        percent=percent,
        passed=max(0, passed),
        total=max(0, total),
        failures=tuple(failures),
        errors=tuple(errors),
        source=_source(found),
        is_soft=bool(severities) and severities <= {"warning", "info"},
    )


def _decoded(body: bytes) -> _ValidationResult:
    """GX writes NaN and Infinity, which are no JSON, where a mean is of nothing."""
    try:
        return decode_mended(body, _ValidationResult, where="validation result")
    except BackendError as error:
        try:
            return msgspec.convert(decode_python(body), _ValidationResult)
        except msgspec.DecodeError:
            raise error from None


def _dataset(found: _ValidationResult) -> str:
    batch = found.meta.get("active_batch_definition")
    if isinstance(batch, dict) and batch.get("data_asset_name"):
        return clean(str(batch["data_asset_name"]), 200)
    spec = found.meta.get("batch_spec") or found.meta.get("batch_kwargs")
    if isinstance(spec, dict) and (name := spec.get("data_asset_name") or spec.get("table_name")):
        return clean(str(name), 200)
    return clean(found.suite_name or str(found.meta.get("expectation_suite_name") or "(no name)"), 200)


def _source(found: _ValidationResult) -> str:
    batch = found.meta.get("active_batch_definition")
    return clean(str(batch.get("datasource_name") or ""), 200) if isinstance(batch, dict) else ""


def _exception(info: Any) -> str | None:
    """What was raised, if anything: 0.18 says so at the top, 1.x once for each metric."""
    for found in _exceptions(info):
        return str(found.get("exception_message") or "exception")
    return None


def _exceptions(info: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(info, dict):
        return
    if info.get("raised_exception") is True:
        yield info
    for inner in info.values():
        if isinstance(inner, dict) and inner.get("raised_exception") is True:
            yield inner


def _words(expectation: _Expectation) -> str:
    """`country must be one of DE, FR`."""
    return clean(expectation_words(expectation.type or expectation.expectation_type, expectation.kwargs), 200)


def _value(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:8]))
        return f"[{shown}{', …' if len(value) > 8 else ''}]"
    return str(value)


def _counts(result: Mapping[str, Any]) -> str:
    """`1 of 4 rows (25.0 %)`, or what was observed of the table as a whole."""
    count, elements = result.get("unexpected_count"), result.get("element_count")
    if isinstance(count, int):
        words = f"{count} of {counted(elements, 'row')}" if isinstance(elements, int) else counted(count, "row")
        percent = result.get("unexpected_percent")
        return words + (f" ({percent:.1f} %)" if isinstance(percent, int | float) else "")
    observed = result.get("observed_value")
    return f"observed {clean(_value(observed), 200)}" if isinstance(observed, int | float | str) else ""
