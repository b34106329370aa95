"""Threads that load large libraries at the same time."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.imports import import_in_turn

TWINS = ("alembic.command", "backends.metrics.prometheus.range", "kubernetes.client", "boto3.session", "jsonschema")
ALL_AT_ONCE = f"""
import threading
from backends.imports import import_in_turn
failed, ready = [], threading.Barrier({len(TWINS)})
def load(name):
    ready.wait()
    try:
        import_in_turn(name)
    except BaseException as error:
        failed.append(f"{{name}}: {{error!r}}")
threads = [threading.Thread(target=load, args=(name,)) for name in {TWINS!r}]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("\\n".join(failed))
"""


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when `teal_twins.inner` is being loaded, which then takes its time to load `teal_twins.inner.leaf`."""
    event = threading.Event()
    monkeypatch.setattr(sys, "teal_begun", event, raising=False)
    inner = tmp_path / "teal_twins" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "teal_twins" / "__init__.py").touch()
    (inner / "__init__.py").write_text(
        "import sys, time\nsys.teal_begun.set()\ntime.sleep(0.3)\nimport teal_twins.inner.leaf\n"
    )
    (inner / "leaf.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return event


def test_two_threads_load_a_package_and_its_module(begun: threading.Event) -> None:
    with ThreadPoolExecutor(2) as pool:
        package = pool.submit(import_in_turn, "teal_twins.inner")
        assert begun.wait(10)
        module = pool.submit(import_in_turn, "teal_twins.inner.leaf")
        for loading in (package, module):
            loading.result(10)
    assert "teal_twins.inner.leaf" in sys.modules


def test_our_libraries_are_loaded_by_as_many_threads_at_once() -> None:
    told = subprocess.run([sys.executable, "-c", ALL_AT_ONCE], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
