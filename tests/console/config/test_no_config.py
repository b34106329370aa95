"""Without a config: what changes something needs the sandbox named, and what reads starts none."""

import pytest

from console.cli.options import Common
from console.cli.reading import chosen
from console.config.selection import NoConfig, SandboxNotNamed, Selection, select
from console.errors import CommandError
from tests.console.fakes import FakeContext


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("console.config.load.SYSTEM_CONFIG", tmp_path / "none.toml")
    for name in ("TEAL_CONFIG", "TEAL_CONTEXT", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_an_order_names_the_sandbox_or_is_a_usage_error_of_one_line():
    with pytest.raises(SandboxNotNamed) as refused:
        select(None, None, order=True)
    assert refused.value.exit_code == 2
    assert "no config" in refused.value.message
    assert "\n" not in refused.value.message
    assert "-C sandbox" in refused.value.fix


@pytest.mark.parametrize("by_environment", [True, False])
def test_an_order_that_names_it_starts_none(by_environment, monkeypatch):
    if by_environment:
        monkeypatch.setenv("TEAL_CONTEXT", "sandbox")
    with pytest.raises(NoConfig):
        select(None, None if by_environment else "sandbox", order=True)


def test_another_context_is_never_the_sandbox(monkeypatch):
    monkeypatch.setenv("TEAL_CONTEXT", "production")
    for order in (True, False):
        with pytest.raises(CommandError, match='no context "production"'):
            select(None, None, order=order)


def test_a_read_starts_none():
    with pytest.raises(NoConfig):
        select(None, None)


def test_quiet_does_not_hide_where_an_order_goes(monkeypatch, capsys):
    found = Selection(FakeContext(sandbox=True), {}, ())
    monkeypatch.setattr("console.cli.reading.select", lambda *_, **__: found)
    chosen(Common(quiet=True))
    assert "SANDBOX" in capsys.readouterr().err
