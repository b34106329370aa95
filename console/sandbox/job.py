"""What one task of a run works with."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from console.sandbox import files, warehouse


class TaskFailed(Exception):
    """The task found what it cannot go on with; the message says what and where."""


class Job:
    """The sandbox directory, the run that the task belongs to, and its connection to the warehouse."""

    def __init__(self, task: str, directory: Path) -> None:
        self.task = task
        self.directory = directory
        self.pipeline = os.environ.get("TEAL_PIPELINE", "manual")
        self.run_id = os.environ.get("TEAL_RUN_ID", "manual")
        self._connection: sqlite3.Connection | None = None

    @property
    def sources(self) -> Path:
        """Where the batch of this run is delivered. A run id may hold any character, a file name may not."""
        return self.directory / "sources" / "".join(c if c.isalnum() or c in "-_." else "-" for c in self.run_id)

    def connection(self) -> sqlite3.Connection:
        """Raises sqlite3.Error where the warehouse is away."""
        if self._connection is None:
            self._connection = warehouse.connect(self.directory)
        return self._connection

    def faults(self) -> dict[str, Any]:
        """The faults that are in force."""
        faults = files.read_json(self.directory / files.FAULTS).get("faults", {})
        return faults if isinstance(faults, dict) else {}

    def ports(self) -> dict[str, int]:
        """The ports of `router`, `blue` and `green`."""
        return files.read_json(self.directory / files.PORTS)

    def trim(self, table: str, rows: int) -> None:
        """Keep the newest `rows` of a table that would grow for ever."""
        limit = f"(SELECT max(rowid) - {rows} FROM {table})"
        self.connection().execute(f"DELETE FROM {table} WHERE rowid < {limit}")

    def log(self, level: str, message: str, *, shared: bool = False) -> None:
        """A line of the task's own log; `shared` ones are also for who looks at the platform as a whole."""
        print(f"{files.now_text()} {level} {message}", flush=True)  # noqa: T201 - stdout is the task's log
        if shared:
            files.append_log(self.directory / files.PIPELINES_LOG, level, f"{self.pipeline}: {message}")
