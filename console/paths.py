"""Where this program keeps things on a host."""

import os
from pathlib import Path


def state_dir() -> Path:
    """`$TEAL_STATE_DIR`, else `$XDG_STATE_HOME/tealdeck`, else ~/.local/state/tealdeck. Not created here."""
    if named := os.environ.get("TEAL_STATE_DIR"):
        return Path(named)
    return Path(os.environ.get("XDG_STATE_HOME") or home() / ".local" / "state") / "tealdeck"


def home() -> Path:
    """The user's own directory; the root for a user id without one (a monitoring job, a container)."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")
