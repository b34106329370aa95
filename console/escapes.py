"""Which escape bytes of a terminal are the key Esc, and which begin a sequence.

A terminal sends Esc as the byte that also begins every other key's sequence, and Alt-x as Esc and x. Nothing here is on
Alt, so what comes behind an Esc and continues no sequence is the next key of somebody who types fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable

ESCAPE = b"\x1b[27u"  # as the kitty protocol writes the key: there is nothing to wait for behind it
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\))")
_PASTE, _PASTED = b"\x1b[200~", b"\x1b[201~"
_BY_WORD = (b"b", b"f", b"\x7f")  # what terminals send behind Esc for Option with an arrow or Backspace


class Escapes:
    """Takes what was read, gives what it means: each Esc that begins nothing as `ESCAPE`. What may still become a
    sequence is `held`. `writing` says whether a line of text has focus, which moves and deletes by word."""

    def __init__(self, writing: Callable[[], bool] = lambda: False) -> None:
        self.held = b""
        self._writing = writing
        self._pasting = False

    def read(self, data: bytes) -> bytes:
        """What has come, behind what was held."""
        data, self.held = self.held + data, b""
        out, at = bytearray(), 0
        while (escape := data.find(b"\x1b", at)) >= 0:
            out += data[at:escape]
            if _BEGUN.match(data, escape):
                self.held = data[escape:]
                return bytes(out)
            found = _SEQUENCE.match(data, escape)
            if found is not None:
                self._pasting = found[0] == _PASTE or (self._pasting and found[0] != _PASTED)
                out += found[0]
                at = found.end()
            elif self._pasting:
                out += data[escape : escape + 1]
                at = escape + 1
            elif data[escape + 1 : escape + 2] in _BY_WORD and self._writing():
                out += data[escape : escape + 2]
                at = escape + 2
            else:
                out += ESCAPE
                at = escape + 1
        return bytes(out + data[at:])

    def give_up(self) -> bytes:
        """Nothing came behind what is held: its Esc was the key, and what stood behind it is keys."""
        held, self.held = self.held, b""
        if len(held) > 2 or self._pasting:
            return held
        return ESCAPE + held[1:] if held else b""
