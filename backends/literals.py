"""Secrets that a config writes out where a reference belongs: found, taken out for the next look, or masked.

A header, a URL and a key are told by their names; what else is one is known by its type alone (`Secret`).
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus

from backends.redaction import SECRET_NAME, SECRET_WORD, STARS

KeyPath = tuple[str | int, ...]

LITERAL_SECRET = "a literal secret"
USE_REFERENCE = 'use a reference: { env = "NAME" }'
# Text, compiled by `re` when it is needed first (as in `backends.text`).
_KEY = rf"{SECRET_WORD}|(?i:routing_key)"
_URL = r"(?i)^\s*[a-z][a-z0-9+.-]*://"
_PASSWORD = r"(?i)^(\s*[a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s]+@"
_USER = r"(?i)^(\s*https?://)[^/\s:@]+@"
_QUERY = r"([?&;])([^=?&;#\s]+)=([^&;#\s]+)"
_IN_TEXT = (
    (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", rf"\1 {STARS}"),
    (r"(?i)([a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s]+@", rf"\1:{STARS}@"),
    (rf"(?i)((?:{SECRET_WORD})[\w-]*\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)", rf"\1{STARS}"),
    (rf"(?i)((?:^|\s)(?!-+no-)--?[\w-]*(?:{SECRET_NAME})(?!\S*-(?:file|path|env|name|command|stdin|id)\s)[\w-]*\s+)"
     r"('[^']*'|\"[^\"]*\"|[^\s-]\S*)", rf"\1{STARS}"),
)  # fmt: skip
# An option whose value is the next word; what names where a secret is holds none.
_NO_PLACE = "".join(f"(?<!-{place})" for place in ("file", "path", "env", "name", "command", "stdin", "id"))
_OPTION = rf"(?i)(?!-+no-)--?[\w-]*(?:{SECRET_NAME})[\w-]*{_NO_PLACE}"
_NO_PASSWORD = r"[\d:.]*|-.*|\{.*|.*/.*"  # of `-p`: a port, an option, a template or a patch, a path
_WITH_P = r"(?:mysql|mariadb)[\w-]*"  # the password stands behind `-p` without a space
_IN_COMMAND = (
    (rf"((?<!\S)(?:\S*/)?{_WITH_P}\s(?:[^;|&]*\s)?-p)[^\s;|&]+", rf"\1{STARS}"),
    # Of another program: neither a port, a path or a template, nor an option of one word, nor several of one letter.
    (r"(?<!\S)-p(?![a-z-]+(?:=|\s|$)|[\d:.]+(?:\s|$)|[{$~.-]|\S*/)(?=\S{6})[^\s;|&]+", f"-p{STARS}"),
)
_SIGNS = (
    "://", "auth", "basic", "bearer", "cookie", "credential", "jwt", "key", "pass", "pwd", "secret", "sig", "token",
    "webhook",
)  # fmt: skip
"""One of these stands in whatever a pattern of names, URLs or texts finds; `-p` and `-u` in what else is found."""
_ASSIGNED = r"(?<![\w-])(-{0,2}[A-Za-z_][\w.-]*)=('[^']*'|\"[^\"]*\"|[^\s;&|'\"{$][^\s;&|'\"]*)"


def is_secret_header(name: str) -> bool:
    """Whether a header of that name holds a secret."""
    return re.search(SECRET_NAME, name) is not None


def secret_in_url(text: str) -> str:
    """What secret is written into `text`, a URL, in words; empty where there is none, or it is no URL."""
    if "://" not in text or not re.match(_URL, text):
        return ""
    if re.match(_PASSWORD, text):
        return "a password inside a URL"
    name = next((name for _, name, _ in re.findall(_QUERY, text) if _is_secret_parameter(name)), "")
    return f"a secret inside a URL (`{unquote_plus(name)}`)" if name else ""


def without_url_secrets(text: str) -> str:
    """`text` with stars for the passwords and the secret parameters of the URLs in it."""
    return re.sub(r"(?i)[a-z][a-z0-9+.-]*://[^\s\"'<>]+", lambda found: _masked_text(found[0]), text)


def literals(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Where a header or a URL of an entry writes a secret out, each with what is wrong."""
    if isinstance(data, str) and (words := _literal(data, path)):
        yield path, words
    for key, value in _pairs(data):
        yield from literals(value, (*path, key))


def literal_at(data: Any, path: KeyPath) -> str:
    """The text at a path that `literals` found."""
    for key in path:
        data = data[key]
    return str(data)


def without_literals(data: Any) -> Any:
    """`data` without what `literals` finds, to see what else is wrong with it."""

    def rest(text: str, path: KeyPath) -> str | None:
        if _in_secret_header(path):
            return None
        return _parameters(re.sub(_PASSWORD, r"\1@", text), "") if _literal(text, path) else text

    return _mapped(data, (), rest)


def masked(data: Any, said: Callable[[KeyPath], bool]) -> Any:
    """`data` to be shown: stars for what is secret by its place or its looks, or where `said` says so of a path.
    References stay as they are."""

    def shown(text: str, path: KeyPath) -> str:
        if path and isinstance(path[-1], int) and text == STARS:
            return text  # a word of a command
        names = [key for key in path if isinstance(key, str)]
        if len(names) > 1 and names[-2] == "env":  # a variable with its value
            return STARS
        if _in_secret_header(path) or said(path) or _is_secret_key(path):
            return STARS
        return _masked_text(text)

    return _mapped(_with_masked_commands(data), (), shown)


def shown_command(command: Sequence[str]) -> str:
    """A command to be read: its words quoted for a shell, with stars for what is a secret by its place or its looks."""
    return shlex.join([_masked_text(word) for word in masked_words(command)])


def masked_words(command: Sequence[str]) -> list[str]:
    """The words of a command with stars for what an option before them makes a secret."""
    found: list[str] = []
    program, before = command[0].rpartition("/")[2] if command else "", ""
    for word in command:
        is_place = word.startswith(("/", "./", "../", "~")) and not re.search(SECRET_WORD, before)  # `--key /etc/x.pem`
        named = re.fullmatch(_OPTION, before) and not word.startswith(("-", "{")) and not is_place
        if named or (before == "-p" and not re.fullmatch(_NO_PASSWORD, word)):
            found.append(STARS)
        elif before in ("-u", "--user") and ":" in word:
            found.append(f"{word.partition(':')[0]}:{STARS}")
        elif word.startswith("-p") and len(word) > 2 and re.fullmatch(_WITH_P, program):
            found.append(f"-p{STARS}")
        else:
            found.append(_masked_in_command(word))
        before = word
    return found


def secrets_in_command(command: Sequence[str]) -> Iterator[str]:
    """What `shown_command` hides of a command."""
    if not _may_hide(" ".join(command)):
        return
    for word, shown in zip(command, masked_words(command), strict=True):
        masked = _masked_text(shown)
        if word != masked:
            begins = _alike(word, masked)
            ends = _alike(word[begins:][::-1], masked[begins:][::-1])
            yield word[begins : len(word) - ends]


def _may_hide(text: str) -> bool:
    """Whether a pattern of this module may find anything in the words of a command. Most have nothing of the kind, and
    the patterns take 6 ms to compile, which the console's first paint would wait for."""
    folded = text.lower()
    return not text.isascii() or "-p" in text or "-u" in text or any(sign in folded for sign in _SIGNS)


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def _masked_in_command(word: str) -> str:
    """A word, or a whole script, with stars for the values that a name makes secret, and for passwords behind `-p`."""
    if re.match(_URL, word):
        return word
    for pattern, stars in _IN_COMMAND:
        word = re.sub(pattern, stars, word)
    return re.sub(_ASSIGNED, lambda found: f"{found[1]}={STARS}" if _is_secret_parameter(found[1]) else found[0], word)


def _masked_text(text: str) -> str:
    if "://" in text and re.match(_URL, text):
        text = re.sub(_PASSWORD, rf"\1:{STARS}@", text)
        text = re.sub(_USER, rf"\1{STARS}@", text)
        return _parameters(text, STARS)
    for pattern, stars in _IN_TEXT:
        text = re.sub(pattern, stars, text)
    return text


def _with_masked_commands(data: Any) -> Any:
    """`data` with each list of words as `masked_words` shows it."""
    if isinstance(data, dict):
        return {key: _with_masked_commands(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        if data and all(isinstance(word, str) for word in data):
            return masked_words(data)
        return [_with_masked_commands(value) for value in data]
    return data


def _literal(text: str, path: KeyPath) -> str:
    return LITERAL_SECRET if _in_secret_header(path) else secret_in_url(text)


def _in_secret_header(path: KeyPath) -> bool:
    """One whose value is a reference ends in `env`, `file` or `command`, one step further."""
    return len(path) > 1 and path[-2] == "headers" and is_secret_header(str(path[-1]))


def _is_secret_key(path: KeyPath) -> bool:
    return bool(path) and isinstance(path[-1], str) and re.search(_KEY, path[-1]) is not None


def _is_secret_parameter(name: str) -> bool:
    return re.search(SECRET_NAME, unquote_plus(name)) is not None


def _parameters(url: str, instead: str) -> str:
    """`url` with `instead` in the place of each secret that its query holds."""

    def told(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}={instead}" if _is_secret_parameter(found[2]) else found[0]

    return re.sub(_QUERY, told, url)


def _pairs(data: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(data, dict):
        yield from data.items()
    elif isinstance(data, list | tuple):
        yield from enumerate(data)


def _mapped(data: Any, path: KeyPath, change: Callable[[str, KeyPath], str | None]) -> Any:
    """`data` with each text changed; one that `change` gives None for is left out of its table."""
    if isinstance(data, str):
        return change(data, path)
    if isinstance(data, dict):
        inner = {key: _mapped(value, (*path, key), change) for key, value in data.items()}
        return {key: value for key, value in inner.items() if value is not None or data[key] is None}
    if isinstance(data, list | tuple):
        return [_mapped(value, (*path, index), change) for index, value in enumerate(data)]
    return data
