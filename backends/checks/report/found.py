"""What a report of another tool says, and the one door for XML that others wrote."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from xml.parsers import expat

from msgspec import Struct

from backends.errors import BackendError
from backends.redaction import quoted

Begin = Callable[[str, str, Mapping[str, str]], None]
"""Told of each element: the name of the one around it (empty for the root), its own, its attributes."""

WEST = timedelta(hours=12)
"""How far behind UTC the last zone is."""


class Count(Struct, frozen=True):
    """One number of a report, and words for it that stand where it is beyond a limit. Of a share `unit` is `%`."""

    label: str
    value: float
    words: str
    unit: str = ""


class Report(Struct, frozen=True):
    """A report that was read: words for all of it, its numbers, when it was made by its own word (`said_at`), and why
    it proves nothing, empty where it does."""

    summary: str
    counts: tuple[Count, ...]
    made_at: datetime | None = None
    unjudged: str = ""


def walk(body: bytes, begin: Begin) -> None:
    """Tell of each element in turn; nothing is kept. A document that declares anything of its own (entities, defaults)
    is refused before the first element; one that lies elsewhere is never fetched. Raises BackendError(malformed)."""
    around = [""]

    def started(name: str, attributes: dict[str, str]) -> None:
        own = name.rpartition(" ")[2]
        begin(around[-1], own, attributes)
        around.append(own)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.specified_attributes = True
    parser.StartDoctypeDeclHandler = _doctype
    parser.StartElementHandler = started
    parser.EndElementHandler = lambda _: around.pop()
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # an encoding that nobody knows, too
        raise BackendError("malformed", f"not XML, or not all of it: {quoted(str(error))}") from None


def _doctype(_name: str, _system: str | None, _public: str | None, has_internal_subset: bool) -> None:
    if has_internal_subset:
        raise BackendError("malformed", "XML that declares entities or types of its own, which is not read")


def said_at(text: str | None) -> datetime | None:
    """The time that `text` is; without a zone the last instant that it can be anywhere on Earth, where that has passed:
    what was made ten days ago is old in every zone. None where it tells no age."""
    try:
        found = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    if found.tzinfo is not None:
        return found
    latest = found.replace(tzinfo=timezone(-WEST))
    return latest if latest < datetime.now(UTC) else None


def example(names: list[str]) -> str:
    """`: NAME`, or `: NAME …` where there are more; empty for none."""
    return f": {quoted(names[0], 120)}{' …' if len(names) > 1 else ''}" if names else ""
