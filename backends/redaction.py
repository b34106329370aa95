"""What no message may say: the secrets that this process came to know, in every form that a server may echo.

A text from outside is redacted whole and cut afterwards (`quoted`): the first half of a token is a secret, too.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from backends.text import ELLIPSIS, MAX_CHARS, clean

STARS = "***"
MIN_CHARS = 6
"""Shorter ones, and words that our own messages may use (`secret`, `production`), are looked for only in answers to the
request that they went with."""
_MAX_WORD_CHARS = 12
_MIN_TOKEN_CHARS = 16  # of a step of a URL's path, as webhooks have it
_MIN_OWN_CHARS = 3
_MIN_WORD_CHARS = 8  # of a header's words; "Bearer" is none
_MAX_KNOWN = 512
_SEARCHED_CHARS = 2**20
_PUBLIC_HEADERS = frozenset({"accept", "accept-encoding", "connection", "cache-control", "content-type", "user-agent"})
# Text, compiled by `re` when it is needed first (as in `backends.text`).
SECRET_NAME = r"(?i)pass|pwd|secret|token|key|auth|sig|credential|webhook"
"""Names of parameters and variables that hold a secret."""
_CONNINFO_PASSWORD = r"(?i)(?:^|\s)password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)"
_AS_GO = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}  # its JSON, made for HTML

_known: tuple[str, ...] = ()


def learn(*values: str | None) -> None:
    """From now on no message says `values`. Of a URL or a PostgreSQL connection string only its secret parts count."""
    global _known
    for value in values:
        for secret in (*_parts(value or ""), *_tokens_of_path(value or "")):
            if len(secret) >= MIN_CHARS and not _is_word(secret) and secret not in _known:
                _known = (*_known, secret)[-_MAX_KNOWN:]


def forget(value: str) -> None:
    """`value` was no secret, though it was kept where secrets are: messages say it again."""
    global _known
    _known = tuple(secret for secret in _known if secret != value)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the secrets that are known, and without `secrets`. What a cut left of one goes, too."""
    wanted = dict.fromkeys((*_known, *(secret for secret in secrets if len(secret) >= _MIN_OWN_CHARS)))
    forms = {form for secret in wanted for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        if form in text:
            text = text.replace(form, STARS)
        elif ELLIPSIS in text and form[:MIN_CHARS] in text:
            text = _without_beginning(text, form)
    return _without_encoded(text, [secret for secret in wanted if not _is_word(secret)]) if wanted else text


def quoted(text: str, limit: int = 200, secrets: Iterable[str] = ()) -> str:
    """What somebody else said, for a message: redacted whole, then cleaned and cut at `limit` characters."""
    return clean(redacted(text[:_SEARCHED_CHARS], secrets), limit)


def request_secrets(url: str, headers: Mapping[str, str] | None, auth: tuple[str, str] | None) -> list[str]:
    """What a server may echo of a request and a message must not: passwords, tokens, header values."""
    found = list(_parts(url))
    for name, value in (headers or {}).items():
        if name.casefold() not in _PUBLIC_HEADERS:
            words = [word for word in re.split(r"[\s;,=]+", value) if len(word) >= _MIN_WORD_CHARS]
            found += [value, value.rpartition(" ")[2], *words, *_of_basic(value)]
    if auth is not None:
        found += [auth[1], basic(*auth)]
    return [secret for secret in dict.fromkeys(found) if len(secret) >= _MIN_OWN_CHARS]


def basic(user: str, password: str) -> str:
    """Both as HTTP's basic authentication sends them."""
    import base64

    return base64.b64encode(f"{user}:{password}".encode()).decode()


def redact_url(url: str) -> str:
    """Scheme, host, port and path of `url`: no user, no password, no query (it may hold a token)."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return clean(urlunsplit((parts.scheme, host, parts.path, "", "")), 300)
    except ValueError:
        return "(not a URL)"


def _is_word(secret: str) -> bool:
    return secret.isalpha() and secret.islower() and len(secret) <= _MAX_WORD_CHARS


def _parts(value: str) -> Iterable[str]:
    """The secrets in a value: those of a URL or a connection string, else the value itself and each line of it."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", value):
        try:
            parts = urlsplit(value)
        except ValueError:
            return (value,)
        userinfo = parts.netloc.rpartition("@")[0]
        password = userinfo.partition(":")[2]
        if parts.scheme in ("http", "https") and userinfo and not password:
            password = userinfo  # a token as the user
        asked = [found for name, found in parse_qsl(parts.query) if re.search(SECRET_NAME, name)]
        pair = basic(unquote(userinfo.partition(":")[0]), unquote(password)) if password else ""
        return (userinfo if ":" in userinfo else "", password, unquote(password), pair, *asked)
    if found := re.search(_CONNINFO_PASSWORD, value):
        return (found[1].strip("'"),)
    return (value, *(value.split("\n") if "\n" in value else ()))


def _tokens_of_path(value: str) -> Iterable[str]:
    """Of an address that is kept secret: the steps of its path that look like a token."""
    steps = value.split("/")[3:] if value.startswith(("http://", "https://")) else []
    return [step for step in steps if len(step) >= _MIN_TOKEN_CHARS and re.search(r"\d", step)]


def _of_basic(value: str) -> Iterable[str]:
    """The pair and the password that a header of basic authentication is made of."""
    import base64
    import binascii

    scheme, _, encoded = value.partition(" ")
    if scheme.casefold() != "basic":
        return ()
    try:
        pair = base64.b64decode(encoded).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ()
    return (pair, pair.partition(":")[2])


@lru_cache(maxsize=2 * _MAX_KNOWN)
def _forms(secret: str) -> frozenset[str]:
    """`secret` as it is, and as JSON, Python, HTML, a URL, a form or base64 would have it."""
    import base64
    import html
    import json
    from urllib.parse import quote, quote_plus

    raw = secret.encode("utf-8", "surrogateescape")
    encoded = base64.b64encode(raw).decode()
    percent = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    percent |= {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in percent}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    escaped |= {form.replace("/", "\\/") for form in escaped} | {form.translate(_AS_GO) for form in escaped}
    coded = {encoded, encoded.rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    forms = {secret, clean(secret, MAX_CHARS), html.escape(secret), *percent, *escaped, *coded}
    return frozenset(form for form in forms if len(form) >= _MIN_OWN_CHARS)


def _without_beginning(text: str, form: str) -> str:
    """`text` without what a cut, marked by an ellipsis, left of `form`."""
    for end in [found.start() for found in re.finditer(ELLIPSIS, text)][::-1]:
        for length in range(min(len(form) - 1, end), MIN_CHARS - 1, -1):
            if text.startswith(form[:length], end - length):
                text = text[: end - length] + STARS + text[end:]
                break
    return text


def _without_encoded(text: str, secrets: Iterable[str]) -> str:
    """`text` without `secrets` in layers of writing that no list of forms can name, and without most of one."""
    from backends.encoded import spans

    raw = text.encode("utf-8", "surrogatepass")
    found = sorted(spans(raw, [secret.encode("utf-8", "surrogatepass") for secret in secrets]))
    pieces, taken = [], 0
    for start, end in found:
        if start >= taken:
            pieces += [raw[taken:start], STARS.encode()]
        taken = max(taken, end)
    return b"".join([*pieces, raw[taken:]]).decode("utf-8", "replace") if found else text
