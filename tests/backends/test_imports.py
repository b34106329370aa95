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
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """`teal_twins.inner`, which loads `teal_twins.inner.leaf` when the leaf is being loaded by another, or after a
    moment."""
    begun = threading.Event()
    monkeypatch.setattr(sys, "teal_begun", begun, raising=False)
    inner = tmp_path / "teal_twins" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "teal_twins" / "__init__.py").touch()
    (inner / "__init__.py").write_text("import sys\nsys.teal_begun.wait(0.3)\nimport teal_twins.inner.leaf\n")
    (inner / "leaf.py").write_text("import sys\nsys.teal_begun.set()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return begun


def test_two_threads_load_a_package_and_its_module(package: threading.Event) -> None:
    with ThreadPoolExecutor(2) as pool:
        for loading in [pool.submit(import_in_turn, f"teal_twins.{name}") for name in ("inner.leaf", "inner")]:
            loading.result(10)
    assert package.is_set()
    assert "teal_twins.inner.leaf" in sys.modules


def test_our_libraries_are_loaded_by_as_many_threads_at_once() -> None:
    told = subprocess.run([sys.executable, "-c", ALL_AT_ONCE], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
