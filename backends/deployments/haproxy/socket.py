"""HAProxy's runtime API (management guide, §9.3): one command a connection, whose answer ends with the connection.

Answers of several commands on one connection can not be told apart: an empty line ends a table, and is also all that a
successful write says.
"""

import asyncio
import contextlib
import csv
import errno
import io
import re

from backends.errors import BackendError
from backends.redaction import quoted
from backends.stopwatch import timed
from backends.text import clean

TIMEOUT_S = 5.0
MAX_BYTES = 8 * 1024 * 1024
ADMIN_FIX = "give this user a socket of level admin in HAProxy's `global`: stats socket PATH mode 660 level admin"
_TCP = re.compile(r"(?:tcp:)?(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):(\d{1,5})")


class Node:
    """One HAProxy: `unix:/run/haproxy/admin.sock` or `lb-2.internal:9999`. Raises ValueError for neither."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.path = ""
        self.host, self.port = "", 0
        if address.startswith(("unix:/", "/")):
            self.path = address.removeprefix("unix:")
        elif (match := _TCP.fullmatch(address)) and 0 < int(match[2]) < 65536:
            self.host, self.port = match[1].strip("[]"), int(match[2])
        else:
            raise ValueError(f'node "{address}": neither unix:/PATH nor HOST:PORT')

    def __str__(self) -> str:
        return self.address

    @property
    def socat(self) -> str:
        """The address as socat writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix-connect:{self.path}" if self.path else f"tcp-connect:{host}:{self.port}"

    async def ask(self, command: str) -> str:
        """What HAProxy answers to one line. Raises BackendError, `auth` where the socket's level is too low."""
        try:
            async with timed(TIMEOUT_S):
                answer = await self._exchange(command)
        except TimeoutError:
            raise BackendError("timeout", f"{self}: no answer to `{_verb(command)}` in {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise self._connection_error(error) from None
        if answer.lstrip().startswith("Permission denied"):
            raise BackendError("auth", f"{self}: `{_verb(command)}`: permission denied", fix=ADMIN_FIX)
        if answer.lstrip().startswith("Unknown command"):
            raise BackendError("malformed", f"{self}: does not know `{_verb(command)}`", fix="HAProxy 2.4 or later?")
        return answer

    async def order(self, commands: list[str]) -> None:
        """Writes of one kind that say nothing where they succeed, in one line. Raises BackendError, `failed` with
        HAProxy's own words where any of them did not; the others are done then."""
        if not commands:
            return
        answer = await self.ask("; ".join(commands))
        said = " / ".join(line.strip() for line in answer.splitlines() if line.strip())
        if said:
            raise BackendError("failed", f"{self}: {quoted(said, 300)}", fix="see `show servers state` there")
        if answer.count("\n") < len(commands):
            raise BackendError("malformed", f"{self}: the answer to `{_verb(commands[0])}` breaks off")

    async def _exchange(self, command: str) -> str:
        reader, writer = await (
            asyncio.open_unix_connection(self.path) if self.path else asyncio.open_connection(self.host, self.port)
        )
        try:
            writer.write(command.encode() + b"\n")
            await writer.drain()
            answer = bytearray()
            while chunk := await reader.read(65536):
                answer += chunk
                if len(answer) > MAX_BYTES:
                    raise BackendError("malformed", f"{self}: an answer of more than {MAX_BYTES} bytes")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return answer.decode("utf-8", "replace")

    def _connection_error(self, error: OSError) -> BackendError:
        words = error.strerror or str(error) or type(error).__name__
        if error.errno in (errno.EACCES, errno.EPERM):
            return BackendError("auth", f"{self}: {words}", fix="let this user write to the socket: mode and group")
        if error.errno == errno.ENOENT:
            words = "no such socket"
        return BackendError("unreachable", f"{self}: {quoted(words)}", fix="is HAProxy up, and is `nodes` right?")


def table(node: Node, answer: str, *needed: str) -> list[dict[str, str]]:
    """The rows of `show servers state` by the names of its header. Raises BackendError for anything else."""
    lines = answer.splitlines()
    header = next((line for line in lines if line.startswith("# ")), "")
    names = header.removeprefix("# ").split()
    if lines[:1] != ["1"] or not set(needed) <= set(names) or not answer.endswith("\n\n"):
        raise _unexpected(node, answer)
    rows = [line.split() for line in lines[1:] if line.strip() and not line.startswith("#")]
    if any(len(row) != len(names) for row in rows):
        raise _unexpected(node, answer)
    return [dict(zip(names, row, strict=True)) for row in rows]


def csv_table(node: Node, answer: str, *needed: str) -> list[dict[str, str]]:
    """The rows of `show stat` by the names of its header. Raises BackendError for anything else."""
    if not answer.startswith("# ") or not answer.endswith("\n\n"):
        raise _unexpected(node, answer)
    rows = list(csv.DictReader(io.StringIO(answer.removeprefix("# ").rstrip("\n") + "\n")))
    if any(None in row.values() for row in rows) or (rows and not set(needed) <= set(rows[0])):
        raise _unexpected(node, answer)
    return rows


def fields(node: Node, answer: str, *needed: str) -> dict[str, str]:
    """`show info` by its names. Raises BackendError where one of `needed` is not there."""
    pairs = (line.partition(": ") for line in answer.splitlines())
    found = {name.strip(): value.strip() for name, separator, value in pairs if separator}
    if not set(needed) <= set(found):
        raise _unexpected(node, answer)
    return found


def number(node: Node, row: dict[str, str], name: str) -> int:
    """A whole number of a row; nothing is 0. Raises BackendError for anything else."""
    try:
        return int(row.get(name) or 0)
    except ValueError:
        raise BackendError("malformed", f"{node}: {name} is {clean(row[name], 40)}, no number") from None


def _unexpected(node: Node, answer: str) -> BackendError:
    said = clean(answer.strip(), 120) or "nothing"
    return BackendError("malformed", f"{node}: not an answer of HAProxy's runtime API, or cut short: {said}")


def _verb(command: str) -> str:
    return clean(command.split(";")[-1].strip(), 80)
