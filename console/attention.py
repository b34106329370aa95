"""An action that needs a person rings the terminal, once, also where nobody looks at that window.

A bell, and a desktop notification in the two ways that terminals know: OSC 9 (iTerm2, kitty, ConEmu), OSC 777 (rxvt,
VTE). A terminal that knows neither drops both. Within tmux they pass where `allow-passthrough` is on; the bell always.
"""

from collections.abc import Iterable, Mapping

from actions.models import Action
from actions.telling import doing, title
from backends.text import clean

MAX_CHARS = 160
BELL = "\a"
_NEEDS_HANDS = frozenset({"conflict", "in_doubt", "rollback_failed", "awaiting_approval"})
_BELL_ONLY = ("linux", "dumb", "vt100", "vt220", "")
_KNOW_BOTH = ("kitty", "ghostty", "foot", "wezterm")  # one notification is enough there: that with a title


class Attention:
    """Remembers what was told of which action, so that each need is told once."""

    def __init__(self, context: str) -> None:
        self._context = context
        self._told: set[tuple[str, str]] = set()
        self._suspected: set[tuple[str, str]] = set()
        self._open: set[str] = set()

    def over(self, open_actions: Iterable[Action]) -> set[str]:
        """The ids of those that were open when last asked, and are no more."""
        before, self._open = self._open, {action.id for action in open_actions if action.id}
        return before - self._open

    def news(self, actions: Iterable[Action]) -> list[str]:
        """What to tell of `actions`, as they are now, one line each. That nobody runs one is told at the second look:
        at its end there is a moment in which the lease is gone and the row not written yet."""
        found = {(action.id, need): action for action in actions if action.id and (need := need_of(action))}
        sure = {key for key in found if key[1] != "orphaned" or key in self._suspected}
        self._suspected = set(found) - sure
        new = [key for key in found if key in sure and key not in self._told]
        self._told.update(new)
        return [f"{self._context}: {title(found[key])}: {doing(found[key])}" for key in new]


def need_of(action: Action) -> str:
    """Why it waits for a person, as a word that is another one for another reason; empty where it does not."""
    if action.orphaned_since is not None:
        return "orphaned"
    if action.stopped_pid:
        return "stopped"
    if action.status in _NEEDS_HANDS:
        return action.status
    if action.open and action.hold is not None:
        return f"held {action.hold.since.isoformat()}"
    return ""


def sequence(words: str, environ: Mapping[str, str]) -> str:
    """What is written to the terminal to tell `words`. Nothing in them ends the sequence or begins another one."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "").casefold()
    if term in _BELL_ONLY:
        return BELL
    text = clean(words, MAX_CHARS).replace(";", ",")
    both = f"\x1b]777;notify;teal;{text}{BELL}"
    if not any(name in f"{term} {program}" for name in _KNOW_BOTH):
        both = f"\x1b]9;teal {text}{BELL}{both}"
    return BELL + _through(both, environ)


def _through(sequences: str, environ: Mapping[str, str]) -> str:
    """As it passes a multiplexer on its way to the terminal outside (`man tmux`, `man screen`: device control)."""
    if environ.get("TMUX"):
        return f"\x1bPtmux;{sequences.replace(chr(27), chr(27) * 2)}\x1b\\"
    return f"\x1bP{sequences}\x1b\\" if environ.get("STY") else sequences
