"""A real PostgreSQL server in a directory of its own, as a user that is not root, and a standby of it."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.live.process import free_port, run, started
from tests.live.require import program

DEBIAN = "/usr/lib/postgresql/*/bin/"
PASSWORD = "correct-horse-battery"
QUICK = ("fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", "shared_buffers=16MB", "max_wal_size=64MB")


def postgres_program(name: str) -> list[str]:
    """The command line that runs a program of PostgreSQL, which refuses to run as root."""
    path = program(name, DEBIAN + name)
    if os.geteuid() != 0:
        return [path]
    return [program("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--clear-groups", path]


class PostgresServer:
    """A server on a free port of loopback; user `teal` may do everything there, `monitor` nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "teal", password: str = PASSWORD, database: str = "postgres") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Executed by `teal`, outside of a transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self, *settings: str) -> None:
        """Run it, with settings like `max_connections=10`; nothing where it runs."""
        if self._process is not None:
            return
        options = [part for setting in (*QUICK, *settings) for part in ("-c", setting)]
        command = [*postgres_program("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port), *options]
        command += ["-k", str(self.directory)]
        self._process = self._running.enter_context(
            started(command, self.directory / "log", self._answers, end_by=signal.SIGINT)
        )

    def stop(self) -> None:
        """The fast way: sessions are ended."""
        self._running.close()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """To the postmaster."""
        assert self._process is not None
        self._process.send_signal(number)

    def create(self) -> None:
        """A new cluster."""
        passwords = self.directory / "password"
        passwords.write_text(PASSWORD)
        passwords.chmod(0o644)
        run(
            [*postgres_program("initdb"), "-D", str(self.directory / "data"), "-U", "teal", "--no-sync", "-E", "UTF8",
             "--locale=C", "--auth=scram-sha-256", f"--pwfile={passwords}"]
        )  # fmt: skip

    def copy(self, directory: Path) -> "PostgresServer":
        """A standby that follows this server, not yet started."""
        standby = PostgresServer(directory)
        run(
            [*postgres_program("pg_basebackup"), "-d", self.url(), "-D", str(directory / "data"), "-R", "-X", "stream",
             "-c", "fast", "--no-sync"]
        )  # fmt: skip
        return standby

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def postgres_directory() -> Iterator[Path]:
    """A directory that the server's user owns; pytest's own are closed to other users."""
    directory = Path(tempfile.mkdtemp(prefix="teal-pg-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def postgres(*settings: str) -> Iterator[PostgresServer]:
    """A new server that runs, gone at the end of the block."""
    postgres_program("postgres")
    with postgres_directory() as directory:
        server = PostgresServer(directory)
        server.create()
        server.start(*settings)
        try:
            server.sql(f"create role monitor login password '{PASSWORD}'")
            yield server
        finally:
            server.stop()
