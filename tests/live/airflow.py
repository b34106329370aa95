"""A real Airflow, 2 or 3, from PyPI: a virtual environment of its own, kept between runs, and its processes.

`$XDG_CACHE_HOME/teal-airflow/<version>` is made with `pip install` where it is missing: minutes, once. SQLite, so 2.x
runs one task at a time.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.process import end, free_port, until

HERE = Path(__file__).parent
USER, PASSWORD = "oncall", "correct horse battery"
INSTALL_S = 1200.0
# The pins are whole, so no resolver is needed; what is never imported need not be compiled.
_PIP = ("--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check")
START_S = 600.0  # 145 s were measured on two cores with a load of 14


def environment(version: str) -> Path:
    """The `bin` directory of that Airflow, installed where it is missing. Skips or fails where that cannot be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-airflow"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of pytest, or two suites, want it at once
        where = cache / version
        if not (where / ".installed").exists():
            _install(version, where)
    return where / "bin"


def _install(version: str, where: Path) -> None:
    if os.environ.get("TEAL_REQUIRE_LIVE") != "1":
        pytest.skip(f"Airflow {version} is not installed; TEAL_REQUIRE_LIVE=1 installs it into {where}")
    shutil.rmtree(where, ignore_errors=True)
    pins = HERE / f"airflow-{version.split('.')[0]}.txt"
    for command in (
        [sys.executable, "-m", "venv", str(where)],
        [str(where / "bin" / "pip"), "install", *_PIP, "-r", str(pins)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            pytest.fail(f"Airflow {version} cannot be installed: {done.stderr[-2000:]}")
    (where / ".installed").touch()


class AirflowServer:
    """One deployment under a base path, with an admin. `directory` has its database, its logs and its DAGs."""

    def __init__(self, directory: Path, version: str, *, prefix: str = "/prod") -> None:
        self.version = version
        self.is_v2 = version.startswith("3")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{prefix}"
        self.dags = directory / "dags"
        self._bin = environment(version)
        self._directory = directory
        self._running = contextlib.ExitStack()
        self._token = ""
        shutil.copytree(HERE / "airflow_dags", self.dags, dirs_exist_ok=True)

    def environ(self) -> dict[str, str]:
        """What its processes are told."""
        own = {
            "core__dags_folder": str(self.dags), "core__load_examples": "False",
            "core__dags_are_paused_at_creation": "False", "scheduler__scheduler_heartbeat_sec": "1",
            "scheduler__scheduler_idle_sleep_time": "0.2",
            # No DAG changes; one whose first reading a busy machine broke off is read again.
            "scheduler__min_file_process_interval": "30", "scheduler__dag_dir_list_interval": "30",
            "database__sql_alchemy_conn": f"sqlite:///{self._directory}/a.db",
            "logging__base_log_folder": str(self._directory / "logs"), "usage_data_collection__enabled": "False",
        }  # fmt: skip
        if self.is_v2:
            own |= {
                "core__executor": "LocalExecutor", "core__parallelism": "2",
                "core__execution_api_server_url": f"{self.url}/execution/",
                "core__simple_auth_manager_users": f"{USER}:admin",
                "core__simple_auth_manager_passwords_file": str(self._directory / "passwords.json"),
                "api__base_url": self.url, "api__host": "127.0.0.1", "api__port": str(self.port), "api__workers": "1",
                "api_auth__jwt_secret": "a secret of this test, as long as HS512 wants its key to be: 64 bytes ..",
                "dag_processor__refresh_interval": "30", "dag_processor__min_file_process_interval": "30",
                # On a loaded machine its workers give up on their own server otherwise.
                "workers__execution_api_timeout": "60", "workers__execution_api_retries": "10",
            }  # fmt: skip
        else:
            own |= {
                "core__executor": "SequentialExecutor",
                "api__auth_backends": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
                "webserver__base_url": self.url, "webserver__web_server_host": "127.0.0.1",
                "webserver__web_server_port": str(self.port), "webserver__workers": "1",
                "webserver__web_server_master_timeout": "300", "webserver__web_server_worker_timeout": "300",
                "webserver__secret_key": "a secret of this test",
            }  # fmt: skip
        told = {f"AIRFLOW__{key.upper()}": value for key, value in own.items()}
        path = f"{self._bin}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **told, "AIRFLOW_HOME": str(self._directory), "PATH": path, "PYTHONPATH": ""}

    def start(self) -> None:
        """Make its database and run it until it answers and knows its DAGs."""
        self._once("db", "migrate")
        if self.is_v2:
            (self._directory / "passwords.json").write_text(json.dumps({USER: PASSWORD}))
            commands = [["api-server"], ["scheduler"], ["dag-processor"]]
        else:
            names = ["--firstname", "On", "--lastname", "Call", "--email", "oncall@example.com"]
            self._once("users", "create", "-r", "Admin", "-u", USER, "-p", PASSWORD, *names)
            commands = [["webserver"], ["scheduler"]]
        for command in commands:
            self._running.enter_context(self._process(command))
        until(self._ready, f"Airflow {self.version} ready, see {self._directory}", within=START_S)

    def stop(self) -> None:
        """End all of it; safe to call twice."""
        self._running.close()

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The server's own word: of `/api/v1` or `/api/v2`."""
        if self.is_v2 and not self._token:
            asked = {"username": USER, "password": PASSWORD}
            self._token = self._ask(f"{self.url}/auth/token", "POST", asked, {})["access_token"]
        return self._ask(f"{self.url}/api/{'v2' if self.is_v2 else 'v1'}{path}", method, body, self._headers())

    def _headers(self) -> dict[str, str]:
        if self.is_v2:
            return {"authorization": f"Bearer {self._token}"}
        import base64

        return {"authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}

    @staticmethod
    def _ask(url: str, method: str, body: Any, headers: dict[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url, data, {**headers, "content-type": "application/json", "accept": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def _ready(self) -> bool:
        try:
            health = self.api("/monitor/health" if self.is_v2 else "/health")
            known = {dag["dag_id"] for dag in self.api("/dags")["dags"]}
            errors = self.api("/importErrors")["total_entries"]
        except (OSError, urllib.error.HTTPError, ValueError, KeyError):
            return False
        return health["scheduler"]["status"] == "healthy" and len(known) == 2 and errors == 1

    def _once(self, *arguments: str) -> None:
        with (self._directory / "setup.log").open("ab") as log:
            subprocess.run(
                [str(self._bin / "airflow"), *arguments], env=self.environ(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, timeout=START_S, check=True,
            )  # fmt: skip

    @contextlib.contextmanager
    def _process(self, arguments: list[str]) -> Iterator[None]:
        """In a session of its own: a webserver and a scheduler have children that a signal to their parent misses."""
        with (self._directory / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self._bin / "airflow"), *arguments], env=self.environ(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, cwd=self._directory,
            )  # fmt: skip
        try:
            yield
        finally:
            end(process)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


@contextlib.contextmanager
def airflow(directory: Path, version: str) -> Iterator[AirflowServer]:
    """A new deployment that runs, gone at the end of the block."""
    server = AirflowServer(directory, version)
    try:
        server.start()
        yield server
    finally:
        server.stop()
