"""What is on disk in the sandbox directory, and how it is written: whole files, replaced at once, for the user only."""

import fcntl
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from backends.files import write_plain
from backends.json_text import decode_text

LOCK = "supervisor.lock"
RUN = "run.json"
STATE = "state.json"
FAULTS = "faults.json"
SWITCH = "switch.json"
PORTS = "ports.json"
RELEASES = "releases.json"
RUNNING = "running.json"
CONFIG = "config.toml"
LAST_USED = "last_used"
SUPERVISOR_LOG = "logs/supervisor.log"
ACCESS_LOG = "logs/analytics.log"
PIPELINES_LOG = "logs/pipelines.log"
WAREHOUSE = "warehouse/warehouse.db"

COLORS = ("blue", "green")
VERSIONS = {"blue": "2.4.0", "green": "2.4.1"}
MAX_LOG_BYTES = 5_000_000


def now_text() -> str:
    """The time in UTC with milliseconds: `2026-11-21T14:00:21.870Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` at once: a reader sees the old or the new document, never a part. Raises OSError."""
    write_text(path, msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` at once, mode 0600. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_plain(draft, text.encode())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`; empty where the file is missing, unreadable or not an object."""
    try:
        value: Any = decode_text(path.read_bytes(), object)
    except (OSError, msgspec.DecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def append_log(path: Path, level: str, message: str) -> None:
    """One line to a log that stays below 2 × `MAX_LOG_BYTES`; lost where the disk is full."""
    try:
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"{now_text()} {level} {message}\n")
    except OSError:
        pass


def last_line(path: Path) -> str:
    """The last line of a log that is not blank; empty where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 4096))
            lines = stream.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def lock_is_held(directory: Path) -> bool:
    """Whether a supervisor lives: the kernel releases its lock however it dies, so no pid can mislead."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def boot_id() -> str:
    """What this boot of the host is called; empty where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def code_version() -> str:
    """A digest of the sandbox's own sources: another release of them means that a running sandbox is replaced."""
    digest = 0
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest = zlib.crc32(source.read_bytes(), digest)
    return f"{digest:08x}"


def import_path() -> dict[str, str]:
    """The environment in which a child finds these packages also where they run from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys([str(root), *others]))}
