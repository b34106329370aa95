"""The systemd journal of this host, or of others as `systemd-journal-remote` collects them, through `journalctl`.

Sources: journalctl(1), systemd.journal-fields(7), https://systemd.io/JOURNAL_EXPORT_FORMATS/ (systemd 236 and later).

```toml
[[contexts.production.logs]]
type = "journald"
units = ["analytics.service"]          # of these units; default: everything
matches = ["_TRANSPORT=kernel"]        # FIELD=VALUE, as journalctl takes them
directory = "/var/log/journal/remote"  # default: the journal of this host
```
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field, structs

from backends.environment import without_secrets
from backends.errors import BackendError, ErrorKind
from backends.json_text import decode_text
from backends.logs.lines import at_least, parse_text
from backends.logs.merging import gap, is_gap
from backends.logs.reading import LineFilter, TakenBackwards, line_filter
from backends.models import LogEntry, LogLevel
from backends.paths import path_of
from backends.ports import LogQuery
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.text import clean

MAX_ENTRY_BYTES = 16 * 1024 * 1024
_LEVELS: tuple[LogLevel, ...] = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")
_MATCH = re.compile(r"[A-Z_][A-Z0-9_]*=.+", re.DOTALL)
_REFUSED = ("permission", "not seeing messages", "access denied")


class JournaldConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries of which journal.

    units: of these units; by default everything.
    matches: `FIELD=VALUE`, as journalctl takes them.
    directory: where the journal is; by default that of this host.
    """

    units: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    directory: str = ""

    def __post_init__(self) -> None:
        for match in self.matches:
            if not _MATCH.fullmatch(match):
                raise ValueError(f'matches: "{match}" is not FIELD=VALUE')


class _Entry(Struct):
    cursor: str = field(name="__CURSOR")
    at_us: str = field(name="__REALTIME_TIMESTAMP")
    message: Any = field(name="MESSAGE", default="")
    priority: Any = field(name="PRIORITY", default=None)
    unit: Any = field(name="_SYSTEMD_UNIT", default=None)
    identifier: Any = field(name="SYSLOG_IDENTIFIER", default=None)
    host: Any = field(name="_HOSTNAME", default=None)
    pid: Any = field(name="_PID", default=None)


class JournaldLogs:
    """`Logs` of a journal. Who is not in the group systemd-journal sees only entries of his own, as in journalctl."""

    api = 1
    Config = JournaldConfig

    def __init__(self, config: JournaldConfig, context: AdapterContext) -> None:
        self._config, self._context = config, context

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """As the port says. Raises BackendError."""
        return await self._last(query, "")

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says. Raises BackendError, also where journalctl ends."""
        wanted = line_filter(structs.replace(query, since=None), self._context.name)
        newest = ""
        async with aclosing(self._read("-n", "1")) as entries:
            async for found, _, _ in entries:
                newest = found.cursor or newest
        for entry in await self._last(query, newest) if newest else []:
            yield entry
        place = ("--after-cursor", newest) if newest else ()
        async with aclosing(self._read("--follow", "--no-tail", *place)) as entries:
            async for _, raw, entry in entries:
                if is_gap(entry) or wanted.takes(raw, entry, entry.source):
                    yield entry
        raise BackendError("unreachable", f"logs {self._context.name}: journalctl has ended")

    async def aclose(self) -> None:
        """Each read ends its own process."""

    # ---- inside

    async def _last(self, query: LogQuery, newest: str) -> list[LogEntry]:
        """The last matching entries, up to the one whose cursor is `newest` where one is given."""
        wanted = line_filter(query, self._context.name)
        if query.limit <= 0:
            return []
        bounds = [f"--since=@{query.since.timestamp():.6f}"] if query.since else []
        bounds += [f"--until=@{query.until.timestamp():.6f}"] if query.until else []
        if query.first:
            return await self._first(bounds, query.limit, wanted)
        newest_first: list[LogEntry] = []
        backwards: TakenBackwards[LogEntry] = TakenBackwards(wanted)
        reached = not newest
        async with aclosing(self._read("--reverse", *bounds)) as entries:
            async for found, raw, entry in entries:
                reached = reached or found.cursor == newest
                if reached and is_gap(entry):
                    newest_first.append(entry)
                elif reached:
                    newest_first += backwards.feed(raw, entry, entry, entry.source)
                    if len(newest_first) >= query.limit:
                        break
            else:
                newest_first += backwards.rest()
        if query.level is not None:  # lines of a message were decided together
            newest_first.sort(key=lambda entry: int(entry.at_ns or 0), reverse=True)
        return newest_first[: query.limit][::-1]

    async def _first(self, bounds: list[str], limit: int, wanted: LineFilter) -> list[LogEntry]:
        found: list[LogEntry] = []
        async with aclosing(self._read("--no-tail", *bounds)) as entries:
            async for _, raw, entry in entries:
                if is_gap(entry) or wanted.takes(raw, entry, entry.source):
                    found.append(entry)
                    if len(found) >= limit:
                        break
        return found

    async def _read(self, *options: str) -> AsyncGenerator[tuple[_Entry, str, LogEntry], None]:
        """Entries as journalctl prints them, with their text and as a model; those that cannot be read are a gap,
        unless there are no others. The process ends with the iterator."""
        config = self._config
        command = ["journalctl", "--output=json", "--no-pager", "--quiet", "--all", *options]
        command += [f"--unit={unit}" for unit in config.units]
        command += [f"--directory={path_of(config.directory, self._context.base_dir)}"] if config.directory else []
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *config.matches,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=MAX_ENTRY_BYTES,
                start_new_session=True,
                env=without_secrets(),
            )
        except OSError as error:
            words = f"logs {self._context.name}: journalctl: {error.strerror or error}"
            raise BackendError("config", words, fix="a journal is read where systemd is installed") from None
        assert process.stdout is not None
        assert process.stderr is not None
        complaint = asyncio.ensure_future(process.stderr.read(4096))
        try:
            odd: list[BackendError] = []
            any_good = False
            while True:
                try:
                    if not (line := await self._line(process.stdout)):
                        break
                    found = self._decoded(line)
                except BackendError as error:
                    if any_good:
                        yield self._gap(error)
                    else:
                        odd.append(error)
                    continue
                any_good = True
                for one in odd:
                    yield self._gap(one)
                odd.clear()
                raw = _text(found.message)
                yield found, raw, self._entry(found, raw)
            if await process.wait() != 0:
                raise self._failed(await complaint)
            if odd:
                raise odd[0]
        finally:
            complaint.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _gap(self, error: BackendError) -> tuple[_Entry, str, LogEntry]:
        return _Entry(cursor="", at_us=""), "", gap(self._context.name, 1, error.message)

    async def _line(self, stdout: asyncio.StreamReader) -> bytes:
        try:
            return await stdout.readline()
        except ValueError:
            words = f"logs {self._context.name}: an entry of more than {MAX_ENTRY_BYTES // 2**20} MB"
            raise BackendError("malformed", words) from None

    def _decoded(self, line: bytes) -> _Entry:
        try:
            return decode_text(line, _Entry)
        except msgspec.DecodeError as error:
            raise BackendError("malformed", f"logs {self._context.name}: journalctl: {quoted(str(error))}") from None

    def _entry(self, found: _Entry, raw: str) -> LogEntry:
        """The time is the journal's. The level is the worse of its priority and of what the line says: services that
        write to stdout get `info` for everything."""
        us = int(found.at_us) if found.at_us.isdecimal() else 0
        source = _text(found.identifier) or _text(found.unit).removesuffix(".service") or self._context.name
        about = {"unit": found.unit, "host": found.host, "pid": found.pid}
        labels = {name: clean(_text(value), 512) for name, value in about.items() if value is not None}
        entry = parse_text(raw, source=clean(source, 128), labels=labels)
        priority = _text(found.priority)
        level = _LEVELS[int(priority)] if priority in tuple("01234567") else "unknown"
        return structs.replace(
            entry,
            at=datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000) if us else None,
            at_ns=str(us * 1000) if us else None,
            level=entry.level if level == "unknown" or at_least(entry.level, level) else level,
        )

    def _failed(self, complaint: bytes) -> BackendError:
        said = quoted(complaint.decode("utf-8", "replace").strip()) or "journalctl failed"
        kind: ErrorKind = "auth" if any(word in said.casefold() for word in _REFUSED) else "unreachable"
        return BackendError(kind, f"logs {self._context.name}: {said}", fix="try the same with journalctl")


def _text(value: Any) -> str:
    """A field: text, bytes as a list of numbers where it is no UTF-8, one of several, or null where it is too large."""
    if isinstance(value, list):
        if all(isinstance(part, int) and 0 <= part < 256 for part in value):
            return bytes(value).decode("utf-8", "replace")
        return _text(value[0])
    return value if isinstance(value, str) else "" if value is None else str(value)
