"""Strings from outside, made safe to show: no control or escape sequence, no bidi control, bounded length.

A log line that carries ESC can drive the operator's terminal (move the cursor, write the clipboard by OSC 52);
a right-to-left override can make BLUE read as GREEN. Nothing enters a model before it passed `clean()`.
"""

import re

MAX_CHARS = 4096
ELLIPSIS = "…"

# Text, compiled by `re` when the first string needs it: at import, they cost the console's first paint 2 ms.
_ESCAPE_SEQUENCES = (
    r"(?s)\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS, SOS, PM, APC up to their terminator
    r"|\x1b[ -/]*[0-~]"  # the two-character ones
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI as one C1 byte
)
_ESCAPES_OF_LINES = _ESCAPE_SEQUENCES.replace(".*?", r"[^\n]*?").replace("|$)", r"|(?=\n)|$)")
LINE_BREAKS = r"[\t\n\r\x0b\x0c\x85\u2028\u2029]+"
UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str, limit: int = MAX_CHARS) -> str:
    """`text` as one printable line of at most `limit` characters; a cut is marked with an ellipsis.

    Line breaks and tabs become one space, escape sequences vanish whole, lone surrogates and bidi controls go.
    Cutting comes first, so that a line of 200 MB costs no more than one of `limit` characters.
    """
    cut = len(text) > limit * 4
    if cut:
        text = text[: limit * 4]
    if not text.isprintable():  # every character that is unsafe is also not printable
        text = re.sub(_ESCAPE_SEQUENCES, "", text)
        text = re.sub(LINE_BREAKS, " ", text)
        text = re.sub(UNSAFE, "", text)
    if cut or len(text) > limit:
        return text[: limit - 1] + ELLIPSIS
    return text


def link(text: str, limit: int = MAX_CHARS) -> str | None:
    """`text` cleaned, where it is a link that a browser may be sent to: http or https, and nothing that runs."""
    found = clean(text.strip(), limit)
    return found if found.lower().startswith(("http://", "https://")) else None


def without_escapes(text: str) -> str:
    """Lines without their escape sequences; one that does not end takes no more than its own line with it."""
    return re.sub(_ESCAPES_OF_LINES, "", text)


def clean_labels(labels: dict[str, str]) -> dict[str, str]:
    """Keys and values of a label set, each cleaned, values bounded at 512 characters."""
    return {clean(str(key), 128): clean(str(value), 512) for key, value in labels.items()}


def counted(count: float | str, noun: str) -> str:
    """`1 check`, `2 checks`; a number with a fraction as a whole one."""
    shown = f"{count:.0f}" if isinstance(count, float) else str(count)
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


def side_name(name: str) -> str:
    """A side in capitals, `BLUE`; a version, which is what a controller moves between, as it is written: `V2.5.0-RC1`
    is another one than `v2.5.0-rc1`."""
    return name if re.search(r"\.|^v?\d|^[0-9a-f]{7,}$", name) else name.upper()


def short_id(id_: str) -> str:
    """An action's id as people read it: its last six characters, which differ where the first, a time, are alike."""
    return id_[-6:]


def short_ids(text: str) -> str:
    """The text with the ids of actions (ULIDs) in it as people read them."""
    return re.sub(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b", lambda found: short_id(found[0]), text)


SHORT_FIX = 200


def with_fix(text: str, fix: str) -> str:
    """`text (fix)`; a long `fix` ends in a command that is copied, and stands on lines of its own."""
    if not fix:
        return text
    return f"{text} ({fix})" if len(fix) <= SHORT_FIX else f"{text}\n  {fix}"


def once(head: str, words: str) -> str:
    """`head: words`, with what both say once: `… requests GREEN: GREEN: refused` is `… requests GREEN: refused`."""
    return f"{head}: {words.removeprefix(head.rpartition(' ')[2] + ': ')}"


def first_line(text: str) -> str:
    """What is wrong, of words whose further lines are what to do about it."""
    return text.partition("\n")[0]
