"""The pages that are written from the code say what the code says now, and every key of a config has a sentence."""

import pytest
from jsonschema import Draft202012Validator

from backends.ports import ProbeTarget
from console.config.keys import words_of
from console.config.schema import config_schema
from docs import capabilities, config_keys, drills


@pytest.mark.parametrize("writer", [config_keys, capabilities, drills])
def test_a_page_is_up_to_date(writer):
    written = writer.PAGE.read_text(encoding="utf-8")
    assert written == writer.page(), f"run `python -m {writer.__name__}`"


def test_every_key_of_the_schema_has_a_sentence():
    schema = config_schema()
    tables = {**schema["$defs"], "file": schema}
    given_by_the_registry = ("type", "name")
    silent = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, value in table["properties"].items()
        if "description" not in value and not (key in given_by_the_registry and "." in name)
    ]
    assert silent == []


def test_the_schema_knows_what_is_decoded_later():
    gate = {"name": "errors", "candidate": "errors", "max": 0.05, "window": "1m"}
    entry = {"type": "file-switch", "path": "switch.json", "gates": [gate], "requires": {"idle": "linked"}}
    validator = Draft202012Validator({"$ref": "#/$defs/deployments.file-switch", "$defs": config_schema()["$defs"]})
    assert list(validator.iter_errors(entry)) == []
    for wrong in ({"gates": [gate | {"windows": "1m"}]}, {"requires": {"alerts": "loud"}}):
        assert list(validator.iter_errors(entry | wrong))


def test_the_columns_that_a_table_must_have_are_on_the_page():
    """They stood in no page: a table without them was refused, and what to name them was a guess."""
    from backends.quality.sql import NEEDED_COLUMNS, SUITE_COLUMNS, SqlQualityConfig

    _, words = words_of(SqlQualityConfig)
    missing = [name for name in (*NEEDED_COLUMNS, *SUITE_COLUMNS) if name not in words["table"]]
    assert missing == []


class Described(ProbeTarget, frozen=True, kw_only=True):
    """What it is.

    header: another sentence, which goes on
        in a second line.
    note: no field of this name is here.
    key: of the third.

    Raises nothing: this is no key.
    """

    key: int = 0


def test_sentences_are_lines_of_the_docstring_that_begin_with_a_key():
    about, words = words_of(Described)
    assert about.splitlines()[0] == "What it is."
    assert "Raises nothing: this is no key." in about
    assert list(words) == ["url", "header", "version_header", "version_json", "key"]
    assert words["header"] == "another sentence, which goes on in a second line."


def test_no_sentence_of_a_key_is_left_in_what_its_table_is():
    left = [
        f"{name}.{key}"
        for name, table in config_schema()["$defs"].items()
        for key in table["properties"]
        if f"\n{key}: " in table["description"]
    ]
    assert left == []
