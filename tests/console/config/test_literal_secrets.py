"""A secret that is written into a config is refused at its line, and shown by nothing."""

import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from tests.console.config.written import HEAD, SERVICE, Validate

LITERALS = (
    HEAD
    + """
[[contexts.c.checks]]
type = "http"
url = "http://u:SeCrEt1@127.0.0.1:1/"
headers = { Authorization = "Bearer SeCrEt2", X-Vault-Token = "SeCrEt3", X-Scope-OrgID = "team" }
[[contexts.c.quality]]
type = "sql"
url = "postgresql://127.0.0.1/x?user=u&password=SeCrEt4"
[[contexts.c.deployments]]
name = "web"
type = "file-switch"
path = "s.json"
probe = { url = "http://u:SeCrEt5@127.0.0.1:1/h" }
health = { blue = "http://127.0.0.1:1/h?deep=1&access_token=SeCrEt6", green = "http://127.0.0.1:1/h?deep=1" }
[[contexts.c.notify]]
type = "slack"
webhook = "https://hooks.slack.com/SeCrEt7"
[[contexts.c.metrics]]
type = "prometheus"
url = "http://127.0.0.1:1/"
auth = { username = "oncall", password = "SeCrEt8" }
[[contexts.c.logs]]
type = "loki"
url = "http://127.0.0.1:1/"
auth = { token = { env = "LOKI_TOKEN" } }
query = "{app=\\"x\\"}"
"""
)


def test_each_literal_secret_is_refused_once_at_its_line(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_TOKEN", "hunter2hunter2")
    code, found = validate(LITERALS, "--offline")
    lines = LITERALS.splitlines()
    assert code == 2
    assert [lines[each["line"] - 1].count("SeCrEt") > 0 for each in found] == [True] * 8, found
    assert {each["path"].rpartition(".")[2] for each in found} == {
        "url", "Authorization", "X-Vault-Token", "blue", "webhook", "password",
    }  # fmt: skip
    assert all("secret" in each["message"] or "password" in each["message"] for each in found)


@pytest.mark.parametrize("form", ["table", "json"])
def test_config_show_shows_no_literal_secret_and_each_reference(
    validate: Validate, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    validate(LITERALS.replace('"t"', '"t\\u001b[31m\\u202e"'), "--offline")
    assert run_command(teal, ["config", "show", "-o", form]) == 0
    said = capsys.readouterr().out
    assert "SeCrEt" not in said
    assert not any(sign in said for sign in ("\x1b", "\u202e", "\\u001b"))
    for kept in ("LOKI_TOKEN", "X-Scope-OrgID", "team", "postgresql://127.0.0.1/x?user=u", "deep=1", "oncall"):
        assert kept in said, kept


def test_config_show_masks_a_journal_and_the_words_of_a_command(
    validate: Validate, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEAD + 'journal = "postgresql://u:SeCrEt1@db/j"\n' + SERVICE
    text += """deploy = ["curl", "-H", "Authorization: Bearer SeCrEt2", "--token=SeCrEt3", "http://u:SeCrEt4@h/"]\n"""
    validate(text, "--offline")
    assert run_command(teal, ["config", "show"]) == 0
    said = capsys.readouterr().out
    assert "SeCrEt" not in said
    assert "postgresql://u:***@db/j" in said
