"""The logs of `local` tasks: a file for each try, `<task>.<try>.log`."""

from collections.abc import Iterable
from pathlib import Path

from backends.models import LogEntry
from backends.ports import LogQuery

LOG_LINES = 5000


def task_log(directory: Path, names: Iterable[str]) -> list[LogEntry]:
    """The last `LOG_LINES` lines of all tries of the tasks of one run, in time order."""
    from backends.logs.following import with_sort_time
    from backends.logs.reading import LineFormat, search_file

    timed: list[tuple[int, LogEntry]] = []
    for name in names:
        for path in directory.glob(f"{name}.*.log"):
            number = path.name.removeprefix(f"{name}.").removesuffix(".log")
            if number.isdigit():
                line_format = LineFormat(labels={"task": name, "try": number})
                lines = search_file(path, LogQuery(limit=LOG_LINES), line_format, source=name)
                timed += with_sort_time(lines)
    timed.sort(key=lambda pair: pair[0])
    return [entry for _, entry in timed[-LOG_LINES:]]
