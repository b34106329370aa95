"""What this host lacks is told as that, with what to do, and is nobody's defect."""

import errno
import os
from pathlib import Path

import pytest

from backends.host_limits import limit_of, unexpected
from console.crash import of_defect


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as found:
        return found


TOO_MANY = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/x/module.py")


@pytest.mark.parametrize(
    "error",
    [
        TOO_MANY,
        raised(RuntimeError("connection"), TOO_MANY),
        ExceptionGroup("all addresses", [ValueError("x"), TOO_MANY]),
        raised(ImportError("no module"), ExceptionGroup("", [raised(KeyError("k"), TOO_MANY)])),
    ],
)
def test_too_many_open_files_is_found_behind_whatever_it_broke(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    assert limit_of(error) == ("too many open files", "raise the limit of this user: ulimit -n 4096")
    told = unexpected(error, "airflow")
    assert (told.kind, told.message) == ("unreachable", "airflow: too many open files")
    ended = of_defect(error)
    assert (ended.exit_code, ended.message) == (7, "too many open files")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_names_the_file_and_a_defect_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/x")
    assert limit_of(full) == ("/srv/x: no space is left", "free some, then try again")
    assert limit_of(MemoryError()) is not None
    assert limit_of(TypeError("x")) is None
    told = unexpected(TypeError("x"), "airflow")
    assert (told.kind, told.message, "crash file" in told.fix) == ("internal", "TypeError in airflow: x", False)
    ended = of_defect(TypeError("x"))
    assert (ended.exit_code, "crash-" in ended.fix) == (70, True)
