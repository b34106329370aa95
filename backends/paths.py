"""Paths as a config writes them."""

from pathlib import Path

from backends.errors import BackendError
from backends.text import clean


def path_problem(text: str) -> tuple[str, str] | None:
    """Why `text` can be no path, and what to do; None where it can."""
    if "\0" in text:
        return "a zero byte in it", "take it out"
    try:
        Path(text).expanduser()
    except RuntimeError:
        user = clean(text.partition("/")[0], 60)
        return "this user has no home" if user == "~" else f"nobody's home is {user}", "write the whole path"
    return None


def path_of(text: str, base_dir: Path) -> Path:
    """What `text` means: `~` is a home, and a relative path starts at `base_dir`. Raises BackendError(config)."""
    if problem := path_problem(text):
        raise BackendError("config", f"{clean(text, 200)}: {problem[0]}", fix=problem[1])
    return base_dir / Path(text).expanduser()
