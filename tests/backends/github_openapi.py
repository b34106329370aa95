"""GitHub's own description of its API.

tests/fixtures/github/openapi.json is what is used of npm's `@octokit/openapi` (tests/fixtures/regenerate_github.py).
"""

import functools
from pathlib import Path

import msgspec

from tests.backends.openapi import Description

FILE = Path(__file__).parent.parent / "fixtures" / "github" / "openapi.json"


@functools.cache
def description() -> Description:
    """Read once a process."""
    return Description(msgspec.json.decode(FILE.read_bytes()))
