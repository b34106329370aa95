"""What is built is what runs: the wheel, in a venv of its own, away from the checkout. Beside it an adapter of somebody
else's, which passes its suite there."""

import json
import os
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest
from msgspec import Struct

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "adapter"
CONFIG = """
[contexts.production]
[[contexts.production.checks]]
name = "jobs"
type = "queue"
url = "{url}"
deepest = 10
"""

pytestmark = pytest.mark.xdist_group("wheel")  # one venv for all of them


class Installation(Struct):
    """A venv with the wheel in it, and nothing else of this repository."""

    home: Path
    wheel: Path
    packages: Path

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TEAL_STATE_DIR": str(self.home / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        program = self.home / "venv" / "bin" / command[0]
        return subprocess.run(
            [program, *command[1:]], env=own | environment, cwd=self.home, capture_output=True, text=True, timeout=120
        )


def built(project: Path, into: Path) -> Path:
    """Its wheel."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", into, project],
        check=True,
        capture_output=True,
        timeout=300,
    )
    [wheel] = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    home = tmp_path_factory.mktemp("wheel")
    wheel = built(REPOSITORY, home / "dist")
    # The dependencies come from this venv: what is tested is what the wheel itself brings.
    venv.create(home / "venv", with_pip=True, system_site_packages=False)
    [packages] = (home / "venv" / "lib").glob("python*/site-packages")
    dependencies = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    found = Installation(home, wheel, packages)
    assert found.run("python", "-m", "pip", "install", "-q", "--no-deps", str(wheel)).returncode == 0
    return found


@pytest.fixture(scope="module")
def with_example(installation: Installation) -> Installation:
    wheel = built(EXAMPLE, installation.home / "example")
    done = installation.run("python", "-m", "pip", "install", "-q", "--no-deps", str(wheel))
    assert done.returncode == 0, done.stderr
    return installation


@pytest.fixture
def queue() -> Iterator[str]:
    """The address of a job server where seven jobs wait."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"depth": 7}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_wheel_installs_and_prints_a_status(installation: Installation) -> None:
    try:
        status = installation.run("teal", "status")
        assert status.returncode == 0, status.stderr
        assert status.stdout.startswith("SANDBOX\nanalytics")
        assert "production_data_pipeline" in status.stdout
        example = installation.run("teal", "config", "init")
        assert example.returncode == 0, example.stderr
    finally:
        installation.run("teal", "sandbox", "stop")


def test_the_wheel_has_the_suites_and_says_that_it_is_typed(installation: Installation) -> None:
    names = set(ZipFile(installation.wheel).namelist())
    suites = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "backends" / "testing").glob("*.py")}
    assert len(suites) > len(["__init__.py"])
    assert names >= suites | {"backends/py.typed"}
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]


def test_an_adapter_of_somebody_elses_is_found_and_read(with_example: Installation, queue: str) -> None:
    listed = with_example.run("teal", "plugins", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    assert [each for each in json.loads(listed.stdout)["items"] if each["package"] != "tealdeck"] == [
        {"port": "checks", "type": "queue", "package": "acme-teal", "version": "1.0.0", "api": 1, "problem": None}
    ]
    config = with_example.home / "config.toml"
    config.write_text(CONFIG.format(url=queue))
    config.chmod(0o600)
    valid = with_example.run("teal", "config", "validate", TEAL_CONFIG=str(config))
    assert valid.returncode == 0, valid.stdout + valid.stderr
    check = with_example.run("teal", "check", TEAL_CONFIG=str(config))
    assert check.returncode == 0, check.stdout + check.stderr
    assert "7 jobs wait" in check.stdout
    config.write_text(CONFIG.format(url=queue).replace("deepest", "deeepest"))
    invalid = with_example.run("teal", "config", "validate", "--offline", TEAL_CONFIG=str(config))
    assert invalid.returncode == 2
    assert "deepest" in invalid.stdout + invalid.stderr


def test_it_passes_its_suite_there_and_a_wrong_one_does_not(with_example: Installation) -> None:
    place = with_example.home / "checkout"
    for name in ("pyproject.toml", "tests"):
        copy = shutil.copytree if (EXAMPLE / name).is_dir() else shutil.copy
        place.mkdir(exist_ok=True)
        copy(EXAMPLE / name, place / name)
    suite = ("python", "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin", "--rootdir", str(place), "-c",
             str(place / "pyproject.toml"), str(place / "tests"))  # fmt: skip
    passed = with_example.run(*suite, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert " passed" in passed.stdout
    assert "skipped" not in passed.stdout
    adapter = with_example.packages / "acme_teal" / "queue.py"
    source = adapter.read_text()
    adapter.write_text(source.replace("latency_ms=seconds * 1000", "latency_ms=seconds"))
    try:
        failed = with_example.run(*suite, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    finally:
        adapter.write_text(source)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "\nE       assert " in failed.stdout, "what was found is printed: the asserts of the suites are rewritten"
