"""The mark of a write, in two tags of the rule or the listener that it is about.

The API that moves traffic takes no tags, so a mark can not be written with it. It is announced before, with the digest
of the actions that will be sent, and beside it stays the mark before: which of the two holds is told by the actions
themselves. Between the announcement and the write, and where the write never came, it is the older one; the moment in
which the actions change, which is atomic, changes the mark with it.
"""

import re
import time
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

from backends.text import clean

_NOTHING = "="
MARK, BEFORE = "tealdeck:mark", "tealdeck:before"
_TEXT = re.compile(
    r"(?P<number>[0-9]{1,9}) (?P<digest>[0-9a-f]{16}) (?P<fence>[0-9]{1,18}) (?P<at>[0-9]{1,12}) "
    r"(?P<state>open|ended) (?P<journal>\S+) (?P<stamp>\S+)",
    re.ASCII,
)


class Mark(Struct, frozen=True, kw_only=True):
    """Who wrote. `number` goes up with each write of a set of rules; `digest`: of the actions; `at`: Unix time. Without
    a `stamp` it is what was there before any mark."""

    number: int
    digest: str
    stamp: str
    fence: int = 0
    journal: str = ""
    at: int = 0
    ended: bool = False

    def text(self) -> str:
        """What the tag says: of a tag's 256 characters, and of those that it may have."""
        state = "ended" if self.ended else "open"
        numbers = f"{self.number} {self.digest} {self.fence} {self.at}"
        return f"{numbers} {state} {_quoted(self.journal)} {_quoted(self.stamp)}"

    @classmethod
    def parse(cls, text: str) -> "Mark | None":
        """The inverse of `text`; None for anything else."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        ended = found["state"] == "ended"
        return cls(
            number=int(found["number"]), digest=found["digest"], stamp=_unquoted(found["stamp"]),
            fence=int(found["fence"]), journal=_unquoted(found["journal"]), at=int(found["at"]), ended=ended,
        )  # fmt: skip


class Marks(Struct, frozen=True):
    """Both tags as they were read; `odd`: what stands there and is no mark."""

    latest: Mark | None = None
    before: Mark | None = None
    odd: str = ""

    def of(self, digest: str) -> Mark | None:
        """The mark of the write that made the actions of `digest`. Where neither did, somebody else's edit came after
        the latest one. None where nobody marked any."""
        latest, before = self.latest, self.before
        if before is not None and latest is not None and latest.digest != digest == before.digest:
            return before if before.stamp else None
        return latest if latest is not None and latest.stamp else None


def read_marks(tags: dict[str, str]) -> Marks:
    """Of the tags of one rule or listener."""
    texts = {key: tags.get(key, "") for key in (MARK, BEFORE)}
    found = {key: Mark.parse(text) for key, text in texts.items()}
    odd = next((f"{key}={clean(text, 120)}" for key, text in texts.items() if text and found[key] is None), "")
    return Marks(found[MARK], found[BEFORE], odd)


def announced(latest: Mark, found: Mark | None, digest: str) -> list[dict[str, str]]:
    """Both tags, to be written in one call before the write of `latest`; `found` is the mark of the actions as they
    are, of `digest`."""
    before = replace(found or Mark(number=0, digest=digest, stamp=""), digest=digest)
    return [{"Key": MARK, "Value": latest.text()}, {"Key": BEFORE, "Value": before.text()}]


def now() -> int:
    """As a mark has it."""
    return int(time.time())


def _quoted(text: str) -> str:
    return quote(text, safe=":").replace("%", "@") or _NOTHING


def _unquoted(text: str) -> str:
    return "" if text == _NOTHING else clean(unquote(text.replace("@", "%")), 128)
