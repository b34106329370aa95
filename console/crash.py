"""What is written down when this program itself is at fault."""

import os
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from backends.files import write_plain
from backends.host_limits import limit_of
from console.errors import EXIT_INTERNAL, EXIT_UNREACHABLE, CommandError
from console.paths import state_dir


class Defects:
    """Of one session: a part that failed is told to whoever holds the session, and the rest goes on. What fails at the
    same place again leaves no second crash file: most parts try again every few seconds."""

    def __init__(self) -> None:
        self._known: dict[str, CommandError] = {}
        self.tell: Callable[[str], object] = lambda words: None

    def of(self, error: Exception) -> str:
        """What is said of it, with the crash file."""
        place = f"{type(error)} {traceback.extract_tb(error.__traceback__)}"
        told = self._known[place] = self._known.get(place) or of_defect(error)
        return f"A part of the console failed: {told.message}; {told.fix}."

    def happened(self, error: Exception) -> None:
        """Tell of one."""
        self.tell(self.of(error))

    async def kept(self, work: Callable[[], Awaitable[None]]) -> None:
        """`work` of a task that nobody waits for; where that is cancelled before its first step, it is not begun."""
        try:
            await work()
        except Exception as error:
            self.happened(error)


def of_defect(error: BaseException) -> CommandError:
    """What is said of an error that nobody expected: what this host lacks is told as that; all else is a defect, with
    what to report it with. Exit 7, and 70."""
    if (limit := limit_of(error)) is not None:
        return CommandError(EXIT_UNREACHABLE, "unreachable", limit[0], fix=limit[1])
    path = write_crash_file(error)
    return CommandError(
        EXIT_INTERNAL, "internal", f"{type(error).__name__}: this is a defect", fix=f"report it with {path}"
    )


def write_crash_file(error: BaseException) -> Path | str:
    """Where it broke, as file, line and function: never a value of a variable, never the message of the error. Where no
    file can be written, one line says the innermost place and why."""
    now = datetime.now(UTC)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{now.isoformat()} {type(error).__module__}.{type(error).__name__}"]
    lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    path = state_dir() / f"crash-{now:%Y%m%dT%H%M%S.%f}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_plain(path, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
    except OSError as problem:
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else "no frame"
        return f'"{where}"; no crash file could be written: {path.parent}: {problem.strerror}'
    return path
