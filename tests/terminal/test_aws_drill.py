"""The drill "bad data behind a green run" with Glue, Glue Data Quality and CloudWatch, at 80×24 in a real terminal."""

import msgspec
import pytest

from docs.drills import MOST_KEYS, ON_AWS
from tests.terminal.aws_drill import ALARM, JOB, bad_data_on_aws
from tests.terminal.conftest import Sandbox
from tests.terminal.drills import play

pytestmark = pytest.mark.xdist_group("drills")


@pytest.fixture
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A state directory; no sandbox runs there."""
    return Sandbox(tmp_path_factory.mktemp("aws"))


def test_bad_data_behind_a_green_run_of_glue(surroundings: Sandbox) -> None:
    with bad_data_on_aws(surroundings.state, surroundings.env) as platform:
        surroundings.env = platform.env
        took = play(platform, ON_AWS)
        print(f"{ON_AWS.name}: {ON_AWS.typed}, {ON_AWS.strokes} keys, {took:.1f} s")
        assert ON_AWS.strokes <= MOST_KEYS
        told = msgspec.json.decode(surroundings.teal("timeline", "-o", "json"))["items"]
        status = msgspec.json.decode(surroundings.teal("status", "-o", "json"))
    first = next(each for each in told if each["t0"])
    assert (first["kind"], first["text"]) == ("quality", "orders (orders-rules) scored 0.71")
    texts = [each["text"] for each in told]
    assert "trigger hourly started orders_etl" in texts
    assert [text for text in texts if text.startswith("DataQualityDegradation")] == [
        "DataQualityDegradation orders firing: 1 datapoint [0.71] was less than the threshold (0.8)"
    ], "the alarm is told once, though its history has it too"
    newest = status["pipelines"][0]
    assert (newest["pipeline"], newest["state"], newest["data"]) == (JOB, "success", "critical")
    assert "0.71 < 0.80" in newest["data_reason"]
    (alarm,) = status["alerts"]
    assert (alarm["labels"]["alarm"], alarm["labels"]["dataset"]) == (ALARM, "orders")
