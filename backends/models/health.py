"""How well something is, in the words of every port."""

from typing import Literal

Health = Literal["ok", "warning", "critical", "unknown"]
_BADNESS: dict[str, int] = {"critical": 0, "unknown": 1, "warning": 2, "running": 3, "ok": 4}


def severity_rank(health: str) -> int:
    """Sort key, worst first: critical, unknown, warning, running, ok. A word that is not known counts as unknown."""
    return _BADNESS.get(health, _BADNESS["unknown"])


def worst(healths: list[Health]) -> Health:
    """The worst of `healths`; `unknown` for none at all, since nobody looked."""
    return min(healths, key=severity_rank, default="unknown")
