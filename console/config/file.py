"""One file of a config: read only where nobody else could have written it, parsed, its keys found by line."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from codecs import BOM_UTF8
from functools import cached_property
from typing import TYPE_CHECKING, Any

from backends.ownership import Unsafe, refuse_unsafe
from backends.text import clean
from console.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from console.config.toml_lines import KeyPath

MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
# All of these are text: compiled when there is something for them to find.
_LONG_KEY = rf"(?:^|[\[{{,])[ \t]*{_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_DEPTH}}}"
_WORDS = (
    (r"^Illegal character '\\n'", "the text is not closed: a quote is missing"),
    (r"^Unterminated string", "the text is not closed: a quote is missing"),
    (r"^Cannot overwrite a value", "the key is set twice"),
    (r"^Cannot declare \(?(.*?)\)? twice", r"the table \1 is there twice"),
    (r"^Invalid value", "not a value: text needs quotes"),
)


class ConfigText:
    """One file. Where its keys stand is looked up only when there is something to say of one."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError for one that can not be read, or that others could change."""
        self.path = path
        self._text = _read(path)

    def parse(self) -> dict[str, Any]:
        """Raises ConfigError."""
        if _has_long_key(self._text):
            raise self._too_deep()
        try:
            found = tomllib.loads(self._text)
        except RecursionError:
            raise self._too_deep() from None
        except ValueError as error:  # of TOML, or of a number of thousands of digits
            raise ConfigError(f"{self.path}: {_in_words(str(error))}", fix="correct the TOML") from None
        if _is_deep(found):
            raise self._too_deep()
        return found

    def problem(self, where: KeyPath, message: str, fix: str = "") -> Problem:
        """What is wrong at a key, with the line of it or of what is around it."""
        from console.config.toml_lines import line_of  # only what is wrong is looked for

        return Problem(self.path, line_of(self._lines, where), dotted(where), clean(message), clean(fix))

    def _too_deep(self) -> ConfigError:
        return ConfigError(
            f"{self.path}: tables or lists more than {MAX_DEPTH} deep are no config", fix="check --config"
        )

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        from console.config.toml_lines import line_numbers

        return line_numbers(self._text)


def dotted(where: KeyPath) -> str:
    """The path of a key as messages have it: `contexts.c.checks[0].url`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    return clean(words.lstrip("."), 300)


def _read(path: Path) -> str:
    try:
        # What is opened is what is judged; a pipe is never waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            refuse_unsafe(path)
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{path}: not a file", fix="check --config")
            content = stream.read(MAX_CONFIG_BYTES + 1)
    except Unsafe as unsafe:
        raise ConfigError(f"{unsafe.words}; a config can name commands", fix=unsafe.fix) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", fix="check its owner and mode") from None
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: more than {MAX_CONFIG_BYTES} bytes is no config", fix="check --config")
    try:
        return content.removeprefix(BOM_UTF8).decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}", fix="save it as UTF-8") from None


def _in_words(said: str) -> str:
    where = said[said.rindex(" (at ") :] if " (at " in said else ""
    told = said.removesuffix(where)
    for pattern, words in _WORDS:
        if re.search(pattern, told):
            return clean(re.sub(pattern, words, told), 200) + where
    return clean(told, 200) + where


def _has_long_key(text: str) -> bool:
    """Whether a dotted key has so many parts that it is no key: the time to parse one grows with their square."""
    return any(line.count(".") >= MAX_DEPTH and re.search(_LONG_KEY, line) for line in text.split("\n"))


def _is_deep(found: Any) -> bool:
    """Whether it is deeper than all that reads it by recursion can bear; dotted keys make it so without brackets."""
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]  # fmt: skip
        if not level:
            return False
    return True
