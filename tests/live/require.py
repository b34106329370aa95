"""Real servers: a missing program skips its tests, unless TEAL_REQUIRE_LIVE=1 says that none may be skipped."""

import os
import shutil
from glob import glob
from typing import NoReturn

import pytest

_BESIDE_PATH = "/usr/sbin:/usr/local/sbin"


def program(name: str, *elsewhere: str) -> str:
    """The path of `name`: on PATH, or the newest match of the globs in `elsewhere`. Skips or fails where it is not."""
    found = sorted(match for pattern in elsewhere for match in glob(pattern))
    path = found[-1] if found else shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_BESIDE_PATH}")
    return path or missing(f"{name} is not installed")


def missing(what: str) -> NoReturn:
    """Skips, or fails where none may be skipped."""
    if os.environ.get("TEAL_REQUIRE_LIVE") == "1":
        pytest.fail(f"TEAL_REQUIRE_LIVE=1, but {what}")
    pytest.skip(what)
