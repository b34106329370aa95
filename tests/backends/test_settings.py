"""Secrets by reference and durations."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import settings
from backends.settings import (
    Duration,
    Secret,
    SecretError,
    decode_hook,
    encode_hook,
    refuse_password_in_url,
    reveal,
    run_quietly,
)

VALUE = "s3cret-value"


class Config(msgspec.Struct, forbid_unknown_fields=True):
    password: Secret | None = None
    url: str | Secret = ""
    every: Duration = Duration(10)


def decode(data: dict[str, Any]) -> Config:
    return msgspec.convert(data, Config, dec_hook=decode_hook)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_TEST_SECRET", VALUE)
    assert await Secret(env="TEAL_TEST_SECRET").resolve() == VALUE
    monkeypatch.setenv("TEAL_TEST_SECRET", "")
    with pytest.raises(SecretError, match="TEAL_TEST_SECRET is empty"):
        await Secret(env="TEAL_TEST_SECRET").resolve()


async def test_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{VALUE}\r\n")
    assert await Secret(file=str(tmp_path / "token")).resolve() == VALUE
    assert await Secret(file="token").resolve(tmp_path) == VALUE, "relative to the config"


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8")])
async def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(SecretError, match=words) as caught:
        await Secret(file="token").resolve(tmp_path)
    assert caught.value.kind == "config"


async def test_command(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(VALUE)
    assert await Secret(command=("cat", "token")).resolve(tmp_path) == VALUE
    assert await Secret(command=("sh", "-c", "read -r line || echo no stdin")).resolve() == "no stdin"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", f"echo {VALUE}; echo {VALUE} >&2; exit 3"), "secret command sh: exit status 3"),
        (("/no/such/command",), "No such file"),
    ],
)
async def test_command_that_fails_is_not_quoted(command: tuple[str, ...], words: str) -> None:
    with pytest.raises(SecretError, match=words) as caught:
        await Secret(command=command).resolve()
    assert VALUE not in caught.value.message + caught.value.fix


@pytest.mark.parametrize("how", ["out of time", "cancelled"])
async def test_command_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(settings, "SECRET_COMMAND_TIMEOUT_S", 0.5 if how == "out of time" else 60)
    secret = Secret(command=("sh", "-c", "sleep 60 & echo $! > pid; wait"))
    task = asyncio.create_task(secret.resolve(tmp_path))
    deadline = time.monotonic() + 10
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    if how == "cancelled":
        task.cancel()
    with pytest.raises((SecretError, asyncio.CancelledError)) as ended:
        await task
    assert how == "cancelled" or "no answer in" in str(ended.value)
    child = int((tmp_path / "pid").read_text())
    while running(child):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_reveal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_TEST_SECRET", VALUE)
    assert await reveal("plain") == "plain"
    assert await reveal(Secret(env="TEAL_TEST_SECRET")) == VALUE


@pytest.mark.parametrize(
    "reference",
    [{}, {"env": "A", "file": "b"}, {"env": ""}, {"command": []}, {"vault": "x"}, "literal", {"env": 5}],
)
def test_what_is_no_reference_is_refused(reference: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode({"password": reference})


def test_a_secret_shows_where_it_is_and_not_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_TEST_SECRET", VALUE)
    for secret in (Secret(env="TEAL_TEST_SECRET"), Secret(file="~/token"), Secret(command=("pass", "show", "x"))):
        assert VALUE not in f"{secret} {secret!r} {msgspec.json.encode(secret).decode()}"
    assert str(Secret(command=("pass", "show", "x"))) == "command pass"
    assert os.environ["TEAL_TEST_SECRET"] == VALUE


def test_a_url_or_a_reference() -> None:
    assert decode({"url": "sqlite:///x.db"}).url == "sqlite:///x.db"
    assert decode({"url": {"env": "X"}}).url == Secret(env="X")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("1.5h", 5400), ("2d", 172800), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert decode({"every": text}).every == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5", "s", "-5s", "1h 30m", "5 s", "1e3s", "5x", "ten", "9" * 400 + "d", 5, None]
)
def test_what_is_no_duration_is_refused_with_an_example(text: Any) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError), match="duration"):
        decode({"every": text})


@given(st.integers(0, 10**12))
def test_a_duration_reads_what_it_writes(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert Duration.parse(str(duration)) == pytest.approx(duration, rel=1e-5)


def test_durations_are_encoded_as_they_are_written() -> None:
    assert msgspec.json.encode(Config(every=Duration(5400)), enc_hook=encode_hook).endswith(b'"every":"1h30m"}')


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:p@host/db", "https://:token@host/", "POSTGRESQL+PSYCOPG://u:p@host", "redis://:p@h:6379/0"],
)
def test_a_password_inside_a_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a password inside a URL"):
        refuse_password_in_url(url)


@pytest.mark.parametrize(
    "url", ["postgresql://u@host:5432/db", "http://host:80/a@b", "sqlite:///warehouse.db", "unix:/run/x.sock", "words"]
)
def test_other_urls_pass(url: str) -> None:
    assert refuse_password_in_url(url) == url


async def test_a_command_that_leaves_something_with_its_output_open_has_ended(tmp_path: Path) -> None:
    leaves = ("sh", "-c", "setsid sleep 20 & echo $!; echo why >&2; exit 3")
    ended = await run_quietly(leaves, timeout_s=5.0, keep_stderr=True)
    assert (ended.status, ended.complaint) == (3, b"why\n")
    os.kill(int(ended.output), signal.SIGKILL)
    large = await run_quietly(("head", "-c", "3000000", "/dev/zero"), timeout_s=20.0)
    assert (large.status, len(large.output), large.complaint) == (0, 3_000_000, b"")
