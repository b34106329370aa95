"""Which symbols a terminal can show, and a text in those that it can."""

import codecs
import os
from collections.abc import Mapping
from typing import TextIO

from panels.words import ASCII, PLAIN, UNICODE, Symbols

_PLAIN_TERMINALS = ("linux", "dumb", "vt100", "vt220", "")
_WIDE_AMBIGUOUS = ("ja", "ko", "zh")
_COERCED = "C.UTF-8"  # what Python itself puts into LC_CTYPE where the locale is C (PEP 538): it says nothing


def terminal_symbols(environ: Mapping[str, str], encoding: str) -> Symbols:
    """ASCII where the terminal or the locale cannot show the symbols in one cell each, else Unicode."""
    language = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    if environ.get("LC_CTYPE") == _COERCED and not environ.get("LC_ALL"):
        language = environ.get("LANG") or "C"
    utf8 = codecs.lookup(encoding).name == "utf-8"
    plain = environ.get("TERM", "") in _PLAIN_TERMINALS or not utf8 or language in ("C", "POSIX")
    return ASCII if plain or language[:2] in _WIDE_AMBIGUOUS else UNICODE


def fitting(text: str, stream: TextIO) -> str:
    """`text` as `stream` shows it: in ASCII where that is a terminal on which the console would draw in ASCII."""
    symbols = terminal_symbols(os.environ, stream.encoding or "utf-8") if stream.isatty() else UNICODE
    return text.translate(PLAIN) if symbols is ASCII else text
