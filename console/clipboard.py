"""Text to the operator's clipboard over SSH: through the terminal (OSC 52), or tmux where that stands in between."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping

MAX_BYTES = 74_994  # what terminals that follow the OSC 52 convention take at least, in base64 100,000 bytes
TMUX_S = 2.0


def capped(text: str) -> str:
    """`text`, cut at what a terminal takes."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= MAX_BYTES else data[:MAX_BYTES].decode("utf-8", "ignore")


async def copy(text: str, osc52: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> str:
    """Copy `text`, with `osc52` to write the terminal's sequence; returns the way it went, in words.

    tmux swallows OSC 52 of its programs by default, so it is handed the text itself (`load-buffer -w`), which it
    passes on to the terminal. No terminal says whether it obeyed: the words never claim more than "sent".
    """
    text = capped(text)
    if environ.get("TMUX") and await _tmux(text):
        return "sent to the clipboard through tmux"
    osc52(text)
    return "sent to the clipboard (OSC 52)"


async def _tmux(text: str) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "load-buffer",
            "-w",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(TMUX_S):
            await process.communicate(text.encode("utf-8", "replace"))
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return False
    return process.returncode == 0
