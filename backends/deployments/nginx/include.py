"""The include that nginx reads, and the word of the process that read it.

The file says what was written. What runs is told by a stamped endpoint inside the same include: the exit status of
`nginx -s reload` says only that a signal was sent, and a master that can not use the new files keeps the old ones
without a word.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from backends.deployments.common import fresh_request
from backends.deployments.switch_format import check_weights
from backends.errors import BackendError
from backends.files import read_regular
from backends.redaction import redact_url
from backends.text import clean

Mode = Literal["upstream", "split_clients"]

INCLUDE_FIX = "include the file in nginx's `http { }`, as docs/proxies.md shows, and reload nginx"
_SAYS = re.compile(r"([\w.=,%-]+) gen=(\d{1,18}) op=(\S*)(?: (.*\S))?\s*")
_READ_BYTES = 1024


class Running(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What the stamped endpoint said: shares in percent by color, the number of the write, for whom it was, and `more`
    that a newer program says there."""

    shares: dict[str, int]
    generation: int
    stamp: str
    more: str = ""


class Include(Struct, frozen=True, kw_only=True):
    """What goes into the file besides the weights. `servers` are nginx's own words after `server`."""

    upstream: str
    servers: dict[str, tuple[str, ...]]
    mode: Mode
    split_key: str
    options: tuple[str, ...]
    stamp_url: str

    def body(self, weights: dict[str, int], stamp: str, generation: int) -> str:
        """The text, with `{stamp}` where the comment goes. Raises ValueError for a split in mode `upstream`."""
        live = [color for color, weight in weights.items() if weight > 0]
        parts = [
            "# Written by tealdeck for nginx's http { }. What is changed here by hand goes with the next switch.",
            "{stamp}",
        ]
        if self.mode == "upstream":
            if len(live) != 1:
                raise ValueError('mode "upstream" is one color: mode = "split_clients" can split')
            parts.append(self._upstream(self.upstream, live[0]))
        else:
            *some, rest = live
            lines = [f"  {weights[color]}% {self._name(color)};" for color in some]
            lines.append(f"  * {self._name(rest)};")
            parts.append("\n".join([f'split_clients "{self.split_key}" ${self.variable} {{', *lines, "}"]))
            parts += [self._upstream(self._name(color), color) for color in self.servers]
        return "\n".join([*parts, self._endpoint(weights, stamp, generation), ""])

    @property
    def variable(self) -> str:
        """What a `proxy_pass http://$…;` names in mode `split_clients`."""
        return re.sub(r"\W", "_", self.upstream) + "_upstream"

    def _name(self, color: str) -> str:
        return f"{self.upstream}_{color}"

    def _upstream(self, name: str, color: str) -> str:
        lines = [*(f"server {server}" for server in self.servers[color]), *self.options]
        return "\n".join([f"upstream {name} {{", *(f"  {line};" for line in lines), "}"])

    def _endpoint(self, weights: dict[str, int], stamp: str, generation: int) -> str:
        # `allow` and `deny` do not hold for a `return`: who may ask is decided by the address that it listens on.
        where = urlsplit(self.stamp_url)
        return "\n".join(
            [
                "server {",
                f"  listen {where.netloc};",
                "  access_log off;",
                f"  location = {where.path} {{",
                "    default_type text/plain;",
                f'    return 200 "{said(weights, stamp, generation)}\\n";',
                "  }",
                "}",
            ]
        )


_WORKER = re.compile(rb"(?:nginx|angie): worker process")


def said(weights: dict[str, int], stamp: str, generation: int) -> str:
    """`green gen=42 op=A:shift`, or `blue=90,green=10 gen=…` for a split."""
    live = {color: weight for color, weight in weights.items() if weight > 0}
    shares = ",".join(f"{color}={weight}" for color, weight in live.items()) if len(live) > 1 else next(iter(live))
    return f"{shares} gen={generation} op={quote(stamp, safe=':-_.')}"


def include_problem(include: Include) -> str:
    """What can not be written into nginx's configuration; empty for nothing."""
    where = urlsplit(include.stamp_url)
    if where.scheme != "http" or not where.port or not re.fullmatch(r"/[\w./-]+", where.path) or where.query:
        return "stamp_url: write it like http://127.0.0.1:8099/__color, with a port and a path"
    if not re.fullmatch(r"[\w.-]+", include.upstream):
        return "upstream: letters, digits, dots, underscores and hyphens"
    if not re.fullmatch(r"[\w$.:|/ -]+", include.split_key):
        return "split_key: variables of nginx, like $request_id or $remote_addr"
    words = [*(server for side in include.servers.values() for server in side), *include.options]
    bad = [word for word in words if not re.fullmatch(r"[\w.:/\[\]=$ -]+", word)]
    if bad:
        return f'"{clean(bad[0], 60)}": write it as nginx does after `server`, without ; and braces'
    bad = [color for color in include.servers if not re.fullmatch(r"\w+", color)]
    return f'color "{clean(bad[0], 40)}": letters, digits and underscores' if bad else ""


async def running(url: str, colors: tuple[str, ...]) -> Running:
    """What the nginx that runs says, asked on a connection of its own: an old worker keeps its old ones. Raises
    BackendError: `unreachable` or `timeout` where it does not answer, `malformed` where it is not our endpoint."""
    where = redact_url(url)
    try:
        answer, body = await fresh_request(url, read=_READ_BYTES)
    except BackendError as error:
        words = f"{error.message}: nobody knows what nginx runs"
        raise BackendError(error.kind, words, fix=f"start nginx, where it does not run; else {INCLUDE_FIX}") from None
    match = _SAYS.fullmatch(body.decode("utf-8", "replace"))
    shares = _shares(match[1], colors) if match and answer.status_code == 200 else {}
    if match is None or not shares:
        what = f"HTTP {answer.status_code}, " + (clean(body.decode("utf-8", "replace"), 80) or "nothing")
        raise BackendError("malformed", f"{where}: no stamp of this program: {what}", fix=INCLUDE_FIX)
    return Running(
        shares=shares, generation=int(match[2]), stamp=clean(unquote(match[3]), 128), more=clean(match[4] or "", 80)
    )


def _shares(text: str, colors: tuple[str, ...]) -> dict[str, int]:
    pairs = [pair.partition("=")[::2] for pair in text.split(",")]
    found = {color: int(share) if share.isdecimal() else 100 if not share else -1 for color, share in pairs}
    return {} if check_weights(found, colors) else {color: found.get(color, 0) for color in colors}


def gone_master(pid_file: Path) -> int:
    """The process that `pid_file` names and that is there no more, as after a kill by hand or for want of memory: its
    workers serve on, and nobody reads a file. 0 where it is there, or that can not be seen."""
    master = _master(pid_file)
    return master if not Path(f"/proc/{master}").exists() and Path("/proc/self").exists() else 0


def accepting_workers(pid_file: Path) -> set[int]:
    """The workers of the master in `pid_file` that take new connections; empty where that can not be seen."""
    master = _master(pid_file)
    return {worker for worker, parent in _workers() if parent == master} if master else set()


def left_workers() -> list[int]:
    """The workers of this host whose master is gone: their parent is none. Empty where that can not be seen."""
    return sorted(worker for worker, parent in _workers() if b"master process" not in _title(parent))


def _master(pid_file: Path) -> int:
    try:
        return max(0, int(read_regular(pid_file, 64)))
    except (OSError, ValueError):
        return 0


def _workers() -> Iterator[tuple[int, int]]:
    """Those that take new connections, each with its parent."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or not _WORKER.match(title := _title(int(entry.name))):
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if b"shutting down" not in title:
                yield int(entry.name), parent


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
