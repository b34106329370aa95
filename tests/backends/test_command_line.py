"""A command that is printed or copied is one command in a shell, whatever the names in it."""

import shlex

import pytest

from backends.command_line import command

HOSTILE = ("a b", "$(touch x)", "`id`", "x;rm -rf y", "it's", 'say "no"', "a\nb", "*", "~", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_data_is_one_word_each(name: str) -> None:
    told = command("deploy flip", name, to=name, context="p d")
    assert shlex.split(told) == ["teal", "-C", "p d", "deploy", "flip", name, "--to", name]


def test_a_ref_is_no_option_and_neither_is_a_value() -> None:
    assert command("run show", "-rf", flags="-y") == "teal run show -y -- -rf"
    assert command("log", "app", around="-1h") == "teal log app --around=-1h"


def test_plain_names_stay_as_they_are() -> None:
    assert command("deploy flip", "web", to="GREEN") == "teal deploy flip web --to GREEN"
