"""No message of any bench names one thing twice: `GREEN: GREEN: refused`, `prom: prom: timeout`."""

import re

import msgspec

from actions.models import Action

TWICE = re.compile(r"(?<![\w./-])([\w./-]*[A-Za-z][\w./-]*): \1: ")


def must_say_it_once(action: Action) -> None:
    """Of each text of `action`, its steps, findings and error among them."""
    text = msgspec.json.encode(action).decode()
    assert (found := TWICE.search(text)) is None, text[max(0, found.start() - 80) : found.end() + 80]
