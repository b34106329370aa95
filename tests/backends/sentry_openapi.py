"""Sentry's own description of its API: `sentry.json` of the folder that TEAL_TEST_SPECS names.

Its source: https://github.com/getsentry/sentry-api-schema.
"""

import functools
import os
from pathlib import Path

import msgspec

from tests.backends.openapi import Description


@functools.cache
def description() -> Description | None:
    """Read once a process; None where it is not there, and nothing is held against it."""
    folder = os.environ.get("TEAL_TEST_SPECS")
    if not folder:
        return None
    return Description(msgspec.json.decode((Path(folder) / "sentry.json").read_bytes()))
