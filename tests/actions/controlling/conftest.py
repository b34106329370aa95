"""A desk over one controller, with a probe that says the version."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.actions.controlling.desk import PROBED, Desk, at_desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with at_desk(tmp_path, PROBED) as at:
        yield at
