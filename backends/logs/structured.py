"""Lines of JSON and logfmt: which of their keys say when, how severe and what.

Sources: https://brandur.org/logfmt; Elastic Common Schema;
https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/; the JSON of pino, bunyan, zap, zerolog, logrus,
log4j 2 (`instant`), logstash, Serilog (CLEF), Rust's tracing (`fields`), Caddy, Cloudflare, MongoDB 4.4 and later (`t`,
`s`), PostgreSQL (`error_severity`), dbt (`info`), GELF, journalctl, Kubernetes' audit.
"""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from backends.json_text import decode_text
from backends.logs.formats import head_of
from backends.logs.levels import level_of_number, level_of_status, level_of_value, worse
from backends.logs.stamps import NANOSECONDS, Stamp, parse_time
from backends.models import LogLevel

# In lower case; the first that is there is taken.
_TIMES = (
    "ts", "time", "timestamp", "@timestamp", "datetime", "asctime", "@t", "t", "instant", "eventtime", "date",
    "time_iso8601", "start_time", "timeunixnano", "observedtimeunixnano", "__realtime_timestamp", "edgestarttimestamp",
    "stagetimestamp", "requestreceivedtimestamp", "timestampseconds", "timegenerated", "receivetimestamp", "created_at",
    "time_local",
)  # fmt: skip
_LEVELS = (
    "level", "severity", "lvl", "levelname", "loglevel", "log.level", "log_level", "severitytext", "severity_text",
    "error_severity", "@l", "s", "priority", "at",
)  # fmt: skip
_OPENTELEMETRY = ("severitynumber", "severity_number")
_STATUSES = ("status", "status_code", "response_code", "edgeresponsestatus")
_MESSAGES = (
    "msg", "message", "event", "text", "short_message", "@m", "@mt", "body", "@message", "renderedmessage",
    "messagetemplate", "textpayload", "log",
)  # fmt: skip
# Objects that hold what others have at the top.
_INSIDE = ("fields", "@fields", "info", "record", "log", "log_processed", "jsonpayload")
_KNOWN = frozenset((*_TIMES, *_LEVELS, *_MESSAGES, *_OPENTELEMETRY, "resourcelogs"))

_A_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIME_OF_DAY = re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_LOGFMT_START = re.compile(r'[A-Za-z_@][\w.@-]*=(?:"|\S)')
_LOGFMT = re.compile(r'([A-Za-z_@][\w.@-]*)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class Fields(Struct, frozen=True):
    """What a structured line says. `message` is None where no key has one; `rest` are the keys that say neither."""

    at: Stamp | None
    level: LogLevel
    message: str | None
    rest: dict[str, str]


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a line is, else None."""
    try:
        decoded = decode_text(text, object)
    except msgspec.DecodeError:
        return None
    return decoded if isinstance(decoded, dict) else None


def fields_of(text: str, zone: ZoneInfo | None, written: datetime | None = None) -> Fields | None:
    """What a JSON or logfmt line says that has at least one key of when, how severe or what; None for other text."""
    if text.startswith("{"):
        decoded = object_of(text)
    elif _LOGFMT_START.match(text):
        decoded = {key: _unquoted(value) for key, value in _LOGFMT.findall(text)}
    else:
        return None
    return said_by(decoded, zone, written) if decoded else None


def said_by(decoded: dict[str, Any], zone: ZoneInfo | None, written: datetime | None = None) -> Fields | None:
    """The same of an object that is decoded already."""
    keys = {key.lower(): value for key, value in decoded.items() if value is not None}
    if "resourcelogs" in keys:
        return _of_opentelemetry(keys["resourcelogs"], zone)
    nested = [keys[name] for name in _INSIDE if isinstance(keys.get(name), dict)]
    if keys.keys().isdisjoint(_KNOWN) and not nested:
        return None
    inner = {key.lower(): value for group in nested for key, value in group.items() if value is not None}
    at, level, message = _time(keys, zone, written), _level(keys), _message(keys)
    if inner:
        at = at or _time(inner, zone, written)
        level = _level(inner) if level == "unknown" else level
        message = message if message is not None else _message(inner)
    if not inner and at is None and level == "unknown" and message is None and keys.keys().isdisjoint(_KNOWN):
        return None
    taken = {*_TIMES, *_LEVELS} - {"at"}
    rest = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in decoded.items()
        if value is not None and key.lower() not in taken and not _is_message(key.lower(), value, message)
    }
    return Fields(at, level, message, rest)


def _time(keys: dict[str, Any], zone: ZoneInfo | None, written: datetime | None) -> Stamp | None:
    day, hour = keys.get("date"), keys.get("time")  # Fortinet, W3C as JSON
    if isinstance(day, str) and isinstance(hour, str) and _A_DAY.fullmatch(day) and _TIME_OF_DAY.fullmatch(hour):
        offset = keys.get("tz") if hour[-6:-5] not in ("+", "-") and isinstance(keys.get("tz"), str) else ""
        return parse_time(f"{day}T{hour}{offset}", zone)
    for name in _TIMES:
        if (value := keys.get(name)) is not None and (at := _time_of_value(value, zone, written)) is not None:
            return at
    return None


def _time_of_value(value: Any, zone: ZoneInfo | None, written: datetime | None = None) -> Stamp | None:
    """Text, a number, or an object of seconds and nanoseconds (log4j, Google) or `$date` (MongoDB)."""
    if isinstance(value, dict):
        if "$date" in value:
            return _time_of_value(value["$date"], zone)
        seconds = value.get("epochSecond", value.get("seconds", value.get("timestamp")))
        fraction = value.get("nanoOfSecond", value.get("nanos", 0))
        if isinstance(seconds, int) and isinstance(fraction, int) and not isinstance(seconds, bool):
            return parse_time(seconds * NANOSECONDS + fraction)
        return parse_time(seconds, zone)
    if isinstance(value, str) and value.replace(".", "", 1).isdigit() and value.isascii():
        if "." not in value:
            return parse_time(int(value)) if len(value) < 20 else None
        seconds, _, fraction = value.partition(".")
        ns = int(seconds or "0") * NANOSECONDS + int(fraction[:9].ljust(9, "0")) if len(seconds) == 10 else 0
        return parse_time(ns)
    at = parse_time(value, zone)
    if at is None and isinstance(value, str) and 12 <= len(value) <= 64:
        head = head_of(f"{value} ", zone, written)  # as a text line has it: `28/Nov/2026:19:45:50 +0000`, RFC 5322's
        return head.at if head and not head.message.strip() else None
    return at


def _level(keys: dict[str, Any]) -> LogLevel:
    for name in _LEVELS:
        if name in keys and (level := level_of_value(keys[name])) != "unknown":
            return level
    for name in _OPENTELEMETRY:
        number = keys.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            return level_of_number(number, opentelemetry=True)
    said = keys.get("status")  # https://docs.datadoghq.com/logs/log_configuration/attributes_naming_convention/
    if isinstance(said, str) and said.isalpha() and (level := level_of_value(said)) != "unknown":
        return level
    for name in _STATUSES if _message(keys) is None else ():
        status = keys.get(name)
        if str(status).isdigit() and len(str(status)) == 3:
            return level_of_status(int(str(status)))
    return "unknown"


def _message(keys: dict[str, Any]) -> str | None:
    for name in _MESSAGES:
        value = keys.get(name)
        if isinstance(value, dict):
            value = value.get("stringValue")
        if isinstance(value, str):
            return value
    return None


def _is_message(name: str, value: Any, message: str | None) -> bool:
    return name in _MESSAGES and (value == message or isinstance(value, dict))


def _of_opentelemetry(resources: Any, zone: ZoneInfo | None) -> Fields | None:
    """A batch of records in one line: the time of the first, the worst level, all messages."""
    records = [
        said_by(record, zone)
        for resource in _objects(resources)
        for scope in _objects(resource.get("scopeLogs"))
        for record in _objects(scope.get("logRecords"))
    ]
    found = [record for record in records if record is not None]
    if not found:
        return None
    level: LogLevel = "unknown"
    for record in found:
        level = worse(record.level, level)
    message = " | ".join(record.message for record in found if record.message is not None)
    return Fields(found[0].at, level, message, found[0].rest if len(found) == 1 else {})


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _ESCAPE.sub(_unescaped, value[1:-1])
    return value


def _unescaped(found: "re.Match[str]") -> str:
    return chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2])
