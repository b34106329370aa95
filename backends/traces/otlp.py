"""Spans as OTLP has them in JSON, in the dialects of who stores them.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Jaeger wraps them in `result` and may send
several documents one behind the other; Tempo wraps them in `trace`, or calls `resourceSpans` `batches`, and has ids in
base64 and words for the numbers of enumerations.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from backends.errors import BackendError
from backends.missing import missing
from backends.records import decode_mended
from backends.redaction import quoted
from backends.traces.tree import Found

_FAILED = (2, "2", "STATUS_CODE_ERROR")
_PARTIAL = "PARTIAL"
_HEX = frozenset("0123456789abcdefABCDEF")
_HEX_SIZES = (16, 32)


class Attribute(Struct):
    """A name and one value under the name of its type."""

    key: str = ""
    value: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The value as text."""
        return str(next(iter(self.value.values()), ""))


class _Status(Struct):
    code: int | str = 0
    message: str = ""


class _Event(Struct):
    name: str = ""
    attributes: list[Attribute] = []


class _Span(Struct):
    trace_id: str = field(name="traceId")
    span_id: str = field(name="spanId")
    start: int | str = field(name="startTimeUnixNano")
    end: int | str = field(name="endTimeUnixNano", default=0)
    parent_id: str = field(name="parentSpanId", default="")
    name: str = ""
    status: _Status = field(default_factory=_Status)
    events: list[_Event] = []


class _Scope(Struct):
    spans: list[_Span] = []


class _Resource(Struct):
    attributes: list[Attribute] = []


class _ResourceSpans(Struct):
    resource: _Resource = field(default_factory=_Resource)
    scopes: list[_Scope] = field(name="scopeSpans", default_factory=list)
    old_scopes: list[_Scope] = field(name="instrumentationLibrarySpans", default_factory=list)


class _Data(Struct):
    resource_spans: list[_ResourceSpans] = field(name="resourceSpans", default_factory=list)
    batches: list[_ResourceSpans] = []


class _Document(_Data):
    result: _Data | None = None
    trace: _Data | None = None
    error: Any = None
    status: str = ""
    message: str = ""


def spans_of(body: bytes, *, where: str) -> list[Found]:
    """All spans of an answer. Raises BackendError(malformed) also where it says that it broke off."""
    try:
        documents = [decode_mended(body, _Document, where=where)]
    except BackendError:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        documents = [decode_mended(line, _Document, where=where) for line in lines]
    if any(document.error for document in documents):
        raise BackendError("malformed", f"{where}: the answer breaks off with an error", fix="look at its own log")
    for document in documents:
        if document.status == _PARTIAL:
            words = f"{where}: the trace is not whole: {quoted(document.message) or 'it does not say why'}"
            missing(BackendError("malformed", words, fix="raise the limits of what stores it"))
    return [span for document in documents for span in _spans(document, where)]


def _spans(document: _Document, where: str) -> Iterator[Found]:
    data = document.result or document.trace or document
    for resource in (*data.resource_spans, *data.batches):
        service = next((each.text for each in resource.resource.attributes if each.key == "service.name"), "unknown")
        for scope in (*resource.scopes, *resource.old_scopes):
            for span in scope.spans:
                start = _nanoseconds(span.start, where)
                failed = span.status.code in _FAILED
                yield Found(
                    hexadecimal(span.trace_id), hexadecimal(span.span_id), hexadecimal(span.parent_id), service,
                    span.name, start, max(start, _nanoseconds(span.end, where)), failed, _why(span) if failed else "",
                )  # fmt: skip


def _why(span: _Span) -> str:
    if span.status.message:
        return span.status.message
    for event in span.events:
        said = {each.key: each.text for each in event.attributes}
        if words := said.get("exception.message") or said.get("exception.type"):
            return words
    return ""


def hexadecimal(id_: str) -> str:
    """An id in hexadecimal digits, which it is or is base64 of; that of no span above is zeros or empty."""
    if not (len(id_) in _HEX_SIZES and _HEX.issuperset(id_)):
        try:
            id_ = base64.b64decode(id_, validate=True).hex()
        except (binascii.Error, ValueError):
            return id_
    return id_.lower() if id_.strip("0") else ""


def _nanoseconds(value: int | str, where: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BackendError("malformed", f"{where}: a span has a time that is no number") from None
