"""Durations on the command line: what is no time is refused, whichever option it is given to."""

import click
import pytest

from backends.settings import Duration
from console.cli.options import DURATION, PATIENCE


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "infinity", "-1", "-0.1s", "1e300", "99999999999w", "", "soon"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)
    with pytest.raises(ValueError, match=r"duration|100 years"):
        Duration.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("2.5", 2.5), ("90s", 90.0), ("1h30m", 5400.0)])
def test_a_bare_number_is_seconds(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["0", "0s", "0.0"])
def test_no_time_at_all_is_no_timeout(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time to wait"):
        PATIENCE.convert(text, None, None)
    assert PATIENCE.convert("0.5", None, None) == 0.5
