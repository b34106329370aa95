"""What no message may say: the secrets that this process came to know, in every form that a server may echo.

A text from outside is redacted whole and cut afterwards (`quoted`): the first half of a token is a secret, too.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import takewhile
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

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
SECRET_WORD = (
    r"(?i:passw|passphrase|passcode|pwd|secret|token|credential|cookie|authorization|signature|webhook"
    r"|(?:api|access)[-_]?key|x-auth|oauth)"
)
"""What names a secret wherever it stands in a name, also in prose."""
_HARMLESS_KEYS = ("public", "partition", "sort", "primary", "foreign", "idempotency", "cache", "group", "shard", "row")
SECRET_NAME = (
    rf"(?:{SECRET_WORD}|(?i:(?<!by)(?<!com)pass(?![a-z])|(?<![a-z])(?:auth|sig|jwt)(?![a-z])"
    rf"|(?<!mon){''.join(rf'(?<!{word})(?<!{word}[-_])' for word in _HARMLESS_KEYS)}key(?![a-z])))"
)
"""The one list for the names of headers, parameters, variables and options that hold a secret."""
_CONNINFO_PASSWORD = r"(?i)(?:^|\s)password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)"
_CUT = rf"{ELLIPSIS}|\.\.\."  # of ours, and as others mark it
_AS_GO = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}  # its JSON, made for HTML

_URL_TOKEN = r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,}|(?=.*\d).{16,}"
_PUBLIC_STEP = r"v\d+(?:\.\d+)*"  # of a path: the version of an API
_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}

Address = tuple[str, tuple[str, ...]]
"""A host with its port, and the steps of a path."""

_known: tuple[str, ...] = ()
_addresses: tuple[Address, ...] = ()


def learn(*values: str | None) -> None:
    """From now on no message says `values`. Of a URL or a PostgreSQL connection string only its secret parts count."""
    global _known
    for value in values:
        for secret in (*_parts(value or ""), *_tokens_of_path(value or "")):
            if len(secret) >= MIN_CHARS and not _is_word(secret) and secret not in _known:
                _known = (*_known, secret)[-_MAX_KNOWN:]


def learn_address(value: str | None) -> None:
    """From now on no message says what follows the host of `value`, a URL of HTTP that a reference leads to: of a
    webhook that is the secret. What is no such URL stays as it is."""
    global _addresses
    try:
        parts = urlsplit((value or "").strip())
    except ValueError:
        return
    address = _address(parts)
    if parts.scheme not in _PORTS or not address[0]:  # the name of a database is needed in what is said of it
        return
    if address[1] and address not in _addresses:
        _addresses = (*_addresses, address)[-_MAX_KNOWN:]
    values = [found for _, found in parse_qsl(parts.query)]
    learn(*(found for found in (*address[1], *values) if re.fullmatch(_URL_TOKEN, found)))
    learn(parts.query if re.search(r"\d", parts.query) else "")
    learn(parts.path.rstrip("/") if _telling(address[1]) else "")


def forget(value: str) -> None:
    """`value` was no secret, though it was kept where secrets are: messages say it again."""
    global _known
    _known = tuple(secret for secret in _known if secret != value)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the secrets that are known, and without `secrets`. What a cut left of one goes, too."""
    for address in _addresses:
        if address[0] in text.casefold():
            text = re.sub(_written(address), rf"\1/{STARS}", text)
    wanted = dict.fromkeys((*_known, *(secret for secret in secrets if len(secret) >= _MIN_OWN_CHARS)))
    forms = {form for secret in wanted for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        if form in text:
            text = text.replace(form, STARS)
        elif form[:MIN_CHARS] in text and re.search(_CUT, text):
            text = _without_beginning(text, form)
    return _without_encoded(text, [secret for secret in wanted if not _is_word(secret)]) if wanted else text


def quoted(text: str, limit: int = 200, secrets: Iterable[str] = ()) -> str:
    """What somebody else said, for a message: redacted whole, then cleaned and cut at `limit` characters."""
    return clean(redacted(text[:_SEARCHED_CHARS], secrets), limit)


def request_secrets(url: str, headers: Mapping[str, str] | None, auth: tuple[str, str] | None) -> list[str]:
    """What a server may echo of a request and a message must not: passwords, tokens, header values."""
    found = [*_parts(url), *_hidden_parts(url)]
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
    """Scheme, host, port and path of `url`: no user, no password, no query (it may hold a token), and of a path what no
    reference leads to (`learn_address`)."""
    try:
        parts = urlsplit(url)
        host, path = parts.netloc.rpartition("@")[2], parts.path
        if hidden := _hidden(_address(parts)):
            path = "/".join(["", STARS, *path.split("/")[1 + hidden :]])
        return clean(urlunsplit((parts.scheme, host, path, "", "")), 300)
    except ValueError:
        return "(not a URL)"


def _address(parts: SplitResult) -> Address:
    host = parts.netloc.rpartition("@")[2].casefold().removesuffix(_PORTS.get(parts.scheme, ":"))
    return host, tuple(unquote(step) for step in parts.path.rstrip("/").split("/")[1:])


def _hidden(address: Address) -> int:
    """How many steps of its path a secret address of the same host begins with, too."""
    host, steps = address
    return max((_alike(steps, known) for at, known in _addresses if at == host), default=0)


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _hidden_parts(url: str) -> Iterable[str]:
    """Of the path and the query of a secret address: what a server may echo alone."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    steps = _address(parts)[1]
    if not (hidden := _hidden(_address(parts))):
        return ()
    path = "/".join(parts.path.split("/")[: 1 + hidden])
    asked = [found for _, found in parse_qsl(parts.query)]
    return (path, *(part for part in (*steps[:hidden], *asked) if _telling([part])))


def _telling(steps: Iterable[str]) -> bool:
    return any(not _is_word(step) and not re.fullmatch(_PUBLIC_STEP, step) for step in steps)


@lru_cache(maxsize=_MAX_KNOWN)
def _written(address: Address) -> str:
    """A pattern: `address`, and as much of its path as is there, with its query. The host is its group."""
    from urllib.parse import quote

    host, steps = address
    step_forms = ["|".join(dict.fromkeys(map(re.escape, (step, quote(step), quote(step, safe=""))))) for step in steps]
    path = ""
    for forms in reversed(step_forms):
        path = rf"/(?:{forms})(?![\w%~-])(?:{path})?" if path else rf"/(?:{forms})(?![\w%~-])"
    return rf"((?i:{re.escape(host)})(?::80|:443)?){path}(?:/?\?[^\s\"'<>]*(?<![:,.;)]))?"


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
    for end in [found.start() for found in re.finditer(_CUT, text)][::-1]:
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
