"""The drill "forty red rows, one cause", at 80×24 in a real terminal: from who is on call to the ack."""

from collections.abc import Iterator

import msgspec
import pytest

from docs.drills import FORTY, MOST_KEYS
from tests.terminal.conftest import Sandbox
from tests.terminal.drills import play
from tests.terminal.forty_drill import ROWS, forty_red_rows

pytestmark = pytest.mark.xdist_group("drills")


@pytest.fixture
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    found = Sandbox(tmp_path_factory.mktemp("forty"))
    found.teal("sandbox", "start")
    yield found
    found.teal("sandbox", "stop")


def test_forty_red_rows_and_the_flip_before_them(surroundings: Sandbox) -> None:
    with forty_red_rows(surroundings) as platform:
        took = play(platform, FORTY)
        print(f"{FORTY.name}: {FORTY.typed}, {FORTY.strokes} keys, {took:.1f} s")
        assert FORTY.strokes <= MOST_KEYS
        assert platform.manager.orders == ["POST /silences"]
        status = msgspec.json.decode(surroundings.teal("status", "-o", "json"))
        told = surroundings.teal("report", "--handover")
    cause = next(each for each in status["causes"] if each["count"] > 1)
    refs = {alert["ref"] for alert in status["alerts"] if alert["backend"] == "am"}
    assert (cause["count"], len(refs & set(cause["refs"]))) == (ROWS, ROWS)
    assert cause["suspects"][0]["text"].startswith("analytics BLUE → GREEN")
    assert f"- ✗ ×{ROWS}" in told
