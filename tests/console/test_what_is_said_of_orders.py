"""What a person reads of an order that came to nothing, and what an example offers once."""

import re
from collections import Counter
from pathlib import Path

from msgspec.structs import replace

from backends.models import Finding
from console.cli.writing import action_lines
from tests.console.screen_fakes import an_action


def test_a_silence_that_hides_nothing_says_so() -> None:
    action = an_action(kind="silence", status="succeeded", changed=True)
    none = Finding(level="warning", code="no-match", text="it matches no alert now", fix="check the spelling")
    assert "▲ it matches no alert now (check the spelling)" in action_lines(replace(action, findings=(none,)))
    assert not [line for line in action_lines(action) if line.startswith("▲")]


def test_no_entry_of_the_example_offers_a_key_twice() -> None:
    """Both uncommented are an error of TOML."""
    text = (Path(__file__).parents[2] / "config.example.toml").read_text()
    for entry in re.split(r"\n(?:# )?\[", text):
        keys = [line.removeprefix("# ").partition(" = ")[0] for line in entry.splitlines() if " = " in line]
        twice = [key for key, count in Counter(key for key in keys if key.isidentifier()).items() if count > 1]
        assert not twice, entry[:80]
