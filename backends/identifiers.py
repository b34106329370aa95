"""Names by which a system knows its things: shown without what is unsafe on a screen, and sent back as they are.

`clean()` would make another name of one that holds a control or a bidi character, or the same of two: the wrong run
would be asked for. Here each such character is written as its UTF-8 bytes in percent, as in a URL.
"""

import re
from urllib.parse import unquote

from backends.text import LINE_BREAKS, UNSAFE, clean

MAX_CHARS = 1000
_TAKEN_FOR_ONE = r"%(?=[0-9A-Fa-f]{2})"
_WRITTEN = (
    r"%25(?=[0-9A-Fa-f]{2})|%[01][0-9A-F]|%7F"
    r"|%[CD][0-9A-F]%[89AB][0-9A-F]|%E[0-9A-F](?:%[89AB][0-9A-F]){2}|%F[0-7](?:%[89AB][0-9A-F]){3}"
)


def identifier(name: str) -> str:
    """`name` as it is shown, asked for and kept: printable, and never that of another one. `as_sent` undoes it; of more
    than `MAX_CHARS` only the beginning is left, which names nothing."""
    return clean(re.sub(f"{UNSAFE}|{LINE_BREAKS}|{_TAKEN_FOR_ONE}", _in_percent, name), MAX_CHARS)


def as_sent(shown: str) -> str:
    """What the system itself calls the thing that is shown so."""
    return re.sub(_WRITTEN, _unwritten, shown)


def _in_percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _unwritten(found: re.Match[str]) -> str:
    if found[0] == "%25":
        return "%"
    character = unquote(found[0], errors="surrogatepass")
    return character if re.fullmatch(f"{UNSAFE}|{LINE_BREAKS}", character) else found[0]
