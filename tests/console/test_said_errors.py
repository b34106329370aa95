"""What an argument holds drives no terminal, and a password in it is not repeated, wherever an error quotes it."""

import click
import pytest

from backends.errors import BackendError
from console.cli.ending import run_command
from console.errors import CommandError

EVIL = "fs\x1b]0;x\x07\x1b[31m\u202e"


@click.command()
@click.argument("name")
@click.option("--to", type=click.Choice(["blue", "green"]))
def toy(name: str, to: str) -> None:
    if name == "backend":
        raise BackendError("not_found", f"no {EVIL}", fix=f"not {EVIL}")
    raise CommandError(5, "not_found", f'no service "{name}"', fix=f"see {name}")


@pytest.mark.parametrize("arguments", [[EVIL], ["x", "--to", EVIL], ["x", f"--{EVIL}"], ["x", EVIL], ["backend"]])
def test_no_escape_of_an_argument_reaches_the_terminal(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(toy, arguments) in (2, 5)
    said = capsys.readouterr().err
    assert said.startswith("teal: ")
    assert said.rstrip("\n").isprintable()


def test_a_password_or_a_token_in_a_url_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(toy, ["http://x:UrlSecret9@h/?token=Secret8&a=b"]) == 5
    said = capsys.readouterr().err
    assert 'no service "http://x:***@h/?token=***&a=b"' in said
    assert "Secret" not in said
