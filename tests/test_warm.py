"""What a process of `tests.warm` has of its own, and what it shares with none."""

import asyncio
import atexit
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from backends.processes import age_s
from tests.pids import alive
from tests.warm import NOWHERE, Gone, Job, Process, run, start


def told() -> None:
    """What this process is, as JSON, with `more` on stderr; ends with status 3."""
    found = {
        "pid": os.getpid(), "session": os.getsid(0), "group": os.getpgid(0), "age": age_s(), "arguments": sys.argv[1:],
        "place": os.getcwd(), "said": os.environ.get("SAID"), "home": os.environ.get("HOME"), "read": sys.stdin.read(),
        "open": sorted(os.listdir("/proc/self/fd"), key=int),
    }  # fmt: skip
    print(json.dumps(found))
    sys.stderr.write("more")
    raise SystemExit(3)


def imports() -> None:
    """Whether `this`, a module that nobody wants, was imported before."""
    print("this" in sys.modules)
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    __import__("this")


def ends() -> int:
    """With status 4, and a word at the end of the interpreter."""
    atexit.register(lambda: print("the end of an interpreter"))
    return 4


def sleeps() -> None:
    """For ever."""
    time.sleep(600)


def job(function: str, *arguments: str, **more: object) -> Job:
    return Job("tests.test_warm", function, list(arguments), {"SAID": "a"}, **more)


@pytest.mark.parametrize("session", [True, False])
async def test_it_is_a_process_of_its_own(tmp_path: Path, session: bool) -> None:
    code, said, complained = await run(job("told", "x", "y z", directory=str(tmp_path), session=session), 60)
    found = json.loads(said)
    assert (code, complained, found["arguments"], found["read"]) == (3, "more", ["x", "y z"], "")
    assert (found["place"], found["said"], found["home"]) == (str(tmp_path), "a", None)
    assert found["pid"] != os.getpid()
    assert (found["session"] == found["pid"], found["group"] == found["pid"]) == (session, session)
    assert found["age"] < 30
    assert len(found["open"]) <= 5, "three, the one that lists, and the one that tells what was imported"


async def test_it_dies_of_a_signal_and_of_none_that_is_another_s() -> None:
    both: list[Process] = [await start(job("sleeps"), err=NOWHERE) for _ in range(2)]
    both[0].kill()
    assert await asyncio.wait_for(both[0].wait(), 60) == -signal.SIGKILL
    assert (both[1].is_over(), alive(both[1].pid), alive(both[0].pid)) == (False, True, False)
    both[1].send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(both[1].wait(), 60) == -signal.SIGTERM


async def test_what_one_has_imported_the_next_one_has() -> None:
    assert [(await run(job("imports"), 60))[1] for _ in range(2)] == ["False\n", "True\n"]


@pytest.mark.parametrize("quick", [True, False])
async def test_an_end_that_is_quick_tells_as_much(quick: bool) -> None:
    code, said, _ = await run(job("ends", quick=quick), 60)
    assert (code, said) == (4, "" if quick else "the end of an interpreter\n")


async def test_what_is_no_job_ends_nobody_else_s() -> None:
    """One `None` among the arguments ended the server, and 43 tests after it."""
    wrong: list[Any] = [None]
    with pytest.raises(Gone):
        await run(Job("platform", "", wrong, {}), 60)
    assert (await run(Job("platform", "", [], {}, cold=True), 60))[0] == 0


async def test_a_cold_one_is_a_new_interpreter(tmp_path: Path) -> None:
    code, said, _ = await run(Job("platform", "", [], {}, cold=True), 60)
    assert (code, said.startswith("Linux")) == (0, True)
