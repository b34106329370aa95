"""No layer of writing gets a secret through: by number, in percent, in hex, in base64, broken, cut short."""

import base64
import html
import time
import urllib.parse
from collections.abc import Callable

import pytest

from backends.redaction import redacted

SECRET = "s3cr3tTOK&EN/va+lü=x9"


def by_number(text: str) -> str:
    return "".join(f"&#{ord(sign)};" for sign in text)


def in_percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def mixed(text: str) -> str:
    return "".join(
        (f"%{ord(sign):02{'xX'[at % 2]}}" if at % 3 else sign) if sign.isascii() else urllib.parse.quote(sign)
        for at, sign in enumerate(text)
    )


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WRITTEN: list[Callable[[str], str]] = [
    by_number,
    lambda text: "".join(f"&#x{ord(sign):X};" for sign in text),
    lambda text: text.replace("&", "&#38;").replace("/", "&#x2F;"),
    lambda text: html.escape(html.escape(text)),
    in_percent,
    mixed,
    lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    lambda text: urllib.parse.quote(in_percent(text)),
    lambda text: html.escape(in_percent(text)).replace("%", "&#37;"),
    lambda text: text.encode().hex(),
    lambda text: text.encode().hex().upper(),
    lambda text: text.encode().hex(" "),
    lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
    *[lambda text, before="a" * n: in_base64(f"{before}: {text} is wrong") for n in range(3)],
    lambda text: in_base64(in_base64(f"user:{text}")),
    lambda text: base64.urlsafe_b64encode(f"??>{text}".encode()).decode().rstrip("="),
    lambda text: base64.encodebytes(f"{'x' * 70}{text}{'y' * 70}".encode()).decode(),
    lambda text: in_base64(in_percent(text)),
    lambda text: in_base64(text.encode().hex()),
    lambda text: f"{text[:7]}\n{text[7:]}",
    lambda text: "\t".join(text),
    lambda text: f"{text[:7]}\x1b[1m{text[7:]}\x1b[0m",
    lambda text: f"{text[:7]}\x1b]8;;x\x07{text[7:]}",
    lambda text: text.encode().hex(":"),
    lambda text: text.encode().hex("-").upper(),
    lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    lambda text: "\u00ad".join(text),
    lambda text: "\u200b\u2060".join(text),
    lambda text: text[:-1],
    lambda text: text[:-5],
    lambda text: in_percent(text[:-4]),
]


@pytest.mark.parametrize("write", WRITTEN)
def test_no_layer_of_writing_gets_it_through(write: Callable[[str], str]) -> None:
    said = redacted(f"you sent {write(SECRET)}, which is wrong", [SECRET])
    assert said.startswith("you sent ")
    assert said.endswith(", which is wrong")
    assert "***" in said
    left = said.removeprefix("you sent ").removesuffix(", which is wrong")
    assert redacted(left, [SECRET]) == left


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("production-api is away, in 20 %d of 40 cases", "production-api-key"),
        ("analytics is live on GREEN since 03:00", "analytics9"),
        ("a pass word, broken", "password"),
        ("the tenant team-analytics has no rights", "team-analytics-eu"),
        ("50%25 of &amp; and &#38;\u00ad stay as they are é…", "s3cr3tTOKEN"),
        ("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "s3cr3tTOKEN"),
    ],
)
def test_ordinary_words_stay(text: str, secret: str) -> None:
    assert redacted(text, [secret]) == text


def test_a_long_text_takes_no_longer_than_it_is_long() -> None:
    took = []
    for size in (50_000, 200_000):
        text = (in_base64("ordinary words of a server ") + " %41&#65;\n") * (size // 46)
        began = time.process_time()
        redacted(text, [SECRET])
        took.append(time.process_time() - began)
    assert took[1] < 4 * took[0] * 3, took
