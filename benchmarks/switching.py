"""A flip of the sandbox under 500 requests a second, and its rollback: what is lost, and when all is old again."""

import asyncio
import sys
import time

import msgspec

from benchmarks.timing import sandbox
from tests.load import Load

RPS = 500
ALL_OLD_LIMIT_S = 2.0
AROUND_S = 1.0


def report(env: dict[str, str]) -> bool:
    """Print and judge both lines. On a sandbox of its own."""
    with sandbox(env) as directory:
        ports = msgspec.json.decode((directory / "ports.json").read_bytes())
        return asyncio.run(_switched(env, f"http://127.0.0.1:{ports['router']}/work"))


async def _switched(env: dict[str, str], url: str) -> bool:
    async with Load(url, RPS) as load:
        began = time.monotonic()
        await asyncio.sleep(AROUND_S)
        await _teal(env, "flip")
        await asyncio.sleep(AROUND_S)
        pressed = time.monotonic()
        await _teal(env, "rollback")
        took = time.monotonic() - pressed
        await asyncio.sleep(AROUND_S)
        rate = len(load.seen) / (time.monotonic() - began)
    all_old_s = load.last_of("green", pressed)
    lost, kept = len(load.lost), "ok" if not load.lost else "OVER"
    quick = "ok" if all_old_s <= ALL_OLD_LIMIT_S else "OVER"
    print(f"{kept:5} flip and rollback under {rate:.0f} requests/s: {len(load.seen):,} sent, {lost} lost of 0 allowed")
    print(
        f"{quick:5} rollback, command to all old: {all_old_s:.2f} of {ALL_OLD_LIMIT_S:g} s "
        f"(the command took {took:.2f} s)"
    )
    return (kept, quick) == ("ok", "ok")


async def _teal(env: dict[str, str], order: str) -> None:
    words = ("deploy", order, "analytics", "-C", "sandbox", "-y", "-q")
    process = await asyncio.create_subprocess_exec("teal", *words, env=env, stdout=asyncio.subprocess.DEVNULL)
    code = await process.wait()
    if code != 0:
        sys.exit(f"teal {' '.join(words)} ended with {code}")
