"""Text to the operator's clipboard over SSH: through the terminal (OSC 52), or tmux where that stands in between."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence

from backends.environment import without_secrets
from console import moment

MAX_BYTES = 74_994  # what terminals that follow the OSC 52 convention take at least, in base64 100,000 bytes
TMUX_S = 2.0


async def copy(text: str, osc52: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> str:
    """Copy `text`, with `osc52` to write the terminal's sequence, or save what it would cut; says which, in words.

    tmux swallows OSC 52 of its programs by default, so it is handed the text itself (`load-buffer -w`), which it
    passes on to the terminal. No terminal says whether it obeyed: the words never claim more than "sent".
    """
    if environ.get("TMUX") and await _tmux(text):
        return "sent to the clipboard through tmux"
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        saved = await asyncio.to_thread(save_text, text.split("\n"), "copy")
        return f"too much for the terminal's clipboard: {saved}"
    osc52(text)
    return "sent to the clipboard (OSC 52)"


def save_text(lines: Sequence[str], name: str) -> str:
    """Write lines to a file of their own that only we may read; says where, or why not."""
    from console.paths import state_dir

    place = state_dir() / "saved"
    path = place / f"{name}-{moment.utc_now():%Y%m%dT%H%M%S.%f}Z.txt"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        return f"not saved: {path}: {error.strerror}"
    return f"{len(lines):,} line{'s' * (len(lines) != 1)} saved in {path}"


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
            env=without_secrets(),
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
