"""What Prometheus' HTTP API answers to queries, and how it is read into samples and series.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/. Values are strings, since JSON has no NaN.
VictoriaMetrics says `isPartial` where Thanos has a warning.
"""

import math
from datetime import UTC, datetime

from msgspec import Raw, Struct

from backends.json_text import decode_text
from backends.ports import Point, Sample, Series
from backends.records import Odd, decode_records
from backends.text import clean, clean_labels

PARTIAL = "partial answer"
READ_TYPES = frozenset({"vector", "scalar"})
MAX_WARNINGS = 5


class Envelope(Struct, frozen=True, rename="camel"):
    """Around every answer: `error` where it is none, else `data`."""

    status: str = ""
    data: Raw = Raw(b"null")
    error_type: str = ""
    error: str = ""
    warnings: list[str] | None = None
    is_partial: bool = False

    @property
    def said(self) -> tuple[str, ...]:
        """Its warnings, cleaned."""
        words = [clean(warning, 300) for warning in (self.warnings or ())[:MAX_WARNINGS]]
        return (*words, PARTIAL) if self.is_partial else tuple(words)


class QueryData(Struct, frozen=True, rename="camel"):
    """What an instant query found, as the shape that `result_type` names."""

    result_type: str
    result: Raw


class WireSample(Struct, frozen=True):
    """Of a vector. A native histogram has no value."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    histogram: tuple[float, Raw] | None = None


class WireSeries(Struct, frozen=True):
    """Of a matrix; `histograms` stand where there are no values."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []


def samples_of(data: QueryData, warnings: tuple[str, ...]) -> list[Sample]:
    """Of one of `READ_TYPES`; one that cannot be read has no value. Raises BackendError(malformed) or
    msgspec.ValidationError for a result of another shape, ValueError for no time."""
    if data.result_type == "scalar":
        value = decode_text(bytes(data.result), tuple[float, str])
        return [_sample(WireSample(metric={}, value=value), warnings)]
    good, odd = decode_records(bytes(data.result), WireSample, where="result")
    return [*(_sample(wire, warnings) for wire in good), *(_odd_sample(each, warnings) for each in odd)]


def series_of(wire: WireSeries, warnings: tuple[str, ...]) -> Series:
    """Points that are no finite number have the value None. Raises ValueError for what is no time."""
    points = tuple(Point(_time(at), _number(text)[0]) for at, text in wire.values)
    return Series(labels=clean_labels(wire.metric), points=points, warnings=warnings)


def _sample(wire: WireSample, warnings: tuple[str, ...]) -> Sample:
    labels = clean_labels(wire.metric)
    if wire.value is None:
        at = wire.histogram[0] if wire.histogram else 0.0
        return Sample(labels=labels, value=None, at=_time(at), reason="native histogram", warnings=warnings)
    value, reason = _number(wire.value[1])
    return Sample(labels=labels, value=value, at=_time(wire.value[0]), reason=reason, warnings=warnings)


def _odd_sample(odd: Odd, warnings: tuple[str, ...]) -> Sample:
    metric = odd.plain.get("metric") if isinstance(odd.plain, dict) else None
    labels = {str(key): str(value) for key, value in metric.items()} if isinstance(metric, dict) else {}
    reason = clean(f"cannot be read: {odd.error.message}", 200)
    return Sample(labels=clean_labels(labels), value=None, at=datetime.now(UTC), reason=reason, warnings=warnings)


def _number(text: str) -> tuple[float | None, str]:
    """A finite number, or why it is none."""
    try:
        value = float(text)
    except ValueError:
        return None, clean(text, 40) or "no value"
    return (value, "") if math.isfinite(value) else (None, clean(text, 40))


def _time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError):
        raise ValueError(f"{seconds:g} is no time") from None
