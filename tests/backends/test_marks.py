"""Marks on a switch between programs of two versions: what 0.1.0 makes of ours, and what we make of its marks.

What 0.1.0 did is copied here: the fields of its stamp, the parts of its mark, the keys that it read and kept.
"""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from backends.deployments.haproxy.state import Mark
from backends.deployments.kubernetes.control import ENDED, FENCE, JOURNAL, OP, WROTE, Control
from backends.deployments.kubernetes.selector import ServiceSelector
from backends.deployments.nginx import include
from backends.deployments.switch_format import JsonForm, StampedForm, TemplateForm
from backends.kubernetes.wire import Metadata, Service, ServiceSpec

COLORS = ("blue", "green")
BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
AT = datetime(2026, 11, 28, tzinfo=UTC)
TEMPLATE = "server {live};\n{stamp}\n"


class StampOf010(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    weights: dict[str, int]
    generation: int
    stamp: str
    at: str
    digest: str
    fence: int = 0


def stamp_of_010(content: bytes) -> StampOf010:
    line = content.decode().partition("# tealdeck:")[2].split("\n", 1)[0]
    return msgspec.json.decode(line, type=StampOf010)


def mark_of_010(text: str) -> tuple[str, ...]:
    parts = text.split("/")
    assert (len(parts), parts[0], parts[1] in ("moving", "done")) == (6, "1", True)
    assert int(parts[2]) + int(parts[3]) >= 0
    return tuple(parts)


@pytest.fixture(params=["json", "template"])
def form(request: pytest.FixtureRequest) -> JsonForm | StampedForm:
    return JsonForm(COLORS) if request.param == "json" else TemplateForm(COLORS, TEMPLATE, "#")


def test_a_mark_is_read_as_it_was_written_and_its_end_moves_no_revision(form: JsonForm | StampedForm) -> None:
    for journal in ("", "0123456789abcdef"):
        content = form.write(b"", GREEN, "A:shift", AT, 7, journal)
        found = form.read(content)
        assert (found.stamp, found.fence, found.journal, found.ended) == ("A:shift", 7, journal, False)
        ended = form.read(form.mark_ended(content))
        assert (ended.ended, ended.journal, ended.revision) == (True, journal, found.revision)
        assert form.mark_ended(form.mark_ended(content)) == form.mark_ended(content)
        assert form.read(form.mark_ended(content) + b"\n").revision != found.revision or isinstance(form, JsonForm)


def test_what_a_write_made_is_read_and_a_hand_that_edits_the_weights_shows(form: JsonForm | StampedForm) -> None:
    content = form.mark_ended(form.write(b"", GREEN, "A:shift", AT, 7, "j1"))
    assert form.read(content).wrote == GREEN
    if isinstance(form, JsonForm):
        kept: dict[str, Any] = msgspec.json.decode(content)
        edited = form.read(msgspec.json.encode(kept | {"weights": BLUE}))
        assert (edited.weights, edited.wrote, edited.stamp) == (BLUE, GREEN, "A:shift")
        older = form.read(msgspec.json.encode(kept | {"weights": BLUE, "stamp": "B:shift"}))  # of 0.1.0
        assert (older.weights, older.wrote, older.stamp) == (BLUE, {}, "B:shift")
        for odd in (5, {}, {"stamp": "A:shift"}, {"stamp": "A:shift", "weights": {"red": 100}}, [GREEN]):
            assert form.read(msgspec.json.encode(kept | {"written": odd})).wrote == {}


def test_the_next_write_has_no_end_and_no_number_of_the_one_before(form: JsonForm | StampedForm) -> None:
    ended = form.mark_ended(form.write(b"", GREEN, "A:shift", AT, 7, "j1"))
    found = form.read(form.write(ended, GREEN, "A:shift", AT, 2, "j2"))
    assert (found.fence, found.journal, found.ended) == (2, "j2", False)
    by_hand = form.read(form.write(ended, GREEN, "manual", AT))
    assert (by_hand.fence, by_hand.journal, by_hand.ended) == (0, "", False)


def test_a_stamp_is_one_that_0_1_0_reads() -> None:
    form = TemplateForm(COLORS, TEMPLATE, "#")
    content = form.write(b"", GREEN, "A:shift", AT, 7, "0123456789abcdef")
    for written in (content, form.mark_ended(content)):
        told = stamp_of_010(written)
        assert (told.weights, told.stamp, told.fence, told.digest) == (
            GREEN, "A:shift", 7, stamp_of_010(content).digest,
        )  # fmt: skip


def test_a_json_file_that_0_1_0_wrote_over_has_no_end() -> None:
    form = JsonForm(COLORS)
    ended = form.mark_ended(form.write(b"", GREEN, "A:shift", AT, 7, "j1"))
    kept: dict[str, Any] = msgspec.json.decode(ended)
    found = form.read(msgspec.json.encode(kept | {"stamp": "B:shift", "generation": 9, "fence": 7}))
    assert (found.stamp, found.ended) == ("B:shift", False)


def test_a_mark_is_one_that_0_1_0_reads_and_its_owner_is_of_that_write_alone() -> None:
    mark = Mark(phase="done", number=5, fence=3, shares=GREEN, stamp="A:shift", journal="j/1 ;", ended=True)
    assert mark_of_010(mark.text()) == ("1", "done", "5", "3", "blue=0+green=100", "A:shift")
    read = Mark.parse(mark.text())
    assert read is not None
    assert read.owned(mark.owner()) == mark
    newer = msgspec.structs.replace(read, number=6)
    assert newer.owned(mark.owner()) == newer
    assert not {" ", ";", ","} & set(mark.owner())


@pytest.mark.parametrize("text", ["", "1", "1/", "1/5", "1/5/", "2/5/j/ended", "x/y/z", "1/6/j/ended"])
def test_an_owner_that_is_none_is_nobody(text: str) -> None:
    mark = Mark(phase="done", number=5, fence=3, shares=GREEN, stamp="A:shift")
    found = mark.owned(text)
    assert (found.journal, found.ended) == ("", False)


@pytest.mark.parametrize(
    ("more", "journal", "ended"),
    [
        ({}, "", False),
        ({JOURNAL: "j1"}, "j1", False),
        ({JOURNAL: "j1", ENDED: "A:shift"}, "j1", True),
        ({JOURNAL: "j1", ENDED: "B:shift"}, "j1", False),  # 0.1.0 wrote A over B, and left both
    ],
)
def test_the_annotations_of_a_service(more: dict[str, str], journal: str, ended: bool) -> None:
    annotations = {OP: "A:shift", FENCE: "7", **more}
    metadata = Metadata(name="s", uid="u", resource_version="1", annotations=annotations)
    service = Service(metadata=metadata, spec=ServiceSpec(selector={"color": "green"}))
    control = Control(None, ServiceSelector(None, "s", "color", COLORS))
    found = control.state(service)
    assert (found.stamp, found.fence, found.journal, found.ended) == ("A:shift", 7, journal, ended)
    patch = control.patch(service, {"blue": 100, "green": 0}, stamp="C:shift", fence=1, journal="j2")
    written = {each["path"].rpartition("~1")[2]: each["value"] for each in patch if each["op"] == "add"}
    assert written == {"fence": "1", "op": "C:shift", "journal": "j2", "wrote": "C:shift blue=100,green=0"}
    assert found.wrote == {}
    told = {
        "A:shift blue=100,green=0": BLUE, "B:shift blue=100,green=0": {}, "A:shift red=100": {}, "A:shift": {},
        "A:shift blue=x,green=0": {}, "A:shift blue=100,green=100": {},
        "A:shift blue=40,green=60": {"blue": 40, "green": 60},
    }  # fmt: skip
    for said, wrote in told.items():
        metadata.annotations = {**annotations, WROTE: said}
        assert control.state(service).wrote == wrote  # BLUE was written, and a hand has moved it to GREEN since


BOMB = b"[" * 100_000


@pytest.mark.parametrize("content", [BOMB, b'{"weights": ' + BOMB, b'{"a": ' * 90_000, b"\xff"])
def test_what_is_nested_too_deep_is_as_unreadable_as_any_garbage(content: bytes) -> None:
    found = JsonForm(COLORS).read(content)
    assert (found.weights, found.detail.startswith("not JSON: ")) == ({}, True)
    stamped = TemplateForm(COLORS, TEMPLATE, "#")
    text = b"server green;\n# tealdeck:" + content + b"\n"
    assert stamped.read(text).weights == {}
    assert stamped.generation(text) == 0
    for form_ in (JsonForm(COLORS), stamped):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            form_.mark_ended(content if isinstance(form_, JsonForm) else text)


@pytest.mark.parametrize("depth", range(960, 1000, 3))
def test_what_can_be_read_can_be_written(depth: int) -> None:
    content = b'{"weights": {"blue": 100}, "more": ' + b"[" * depth + b"]" * depth + b"}"
    form_ = JsonForm(COLORS)
    if form_.read(content).weights:
        assert form_.read(form_.write(content, GREEN, "A:shift", AT)).weights == GREEN


@pytest.mark.parametrize(
    ("more", "odd"),
    [
        ({"stamp": {"v": 2}}, "stamp is no str"),
        ({"stamp": "A:shift", "fence": "9"}, "fence is no int"),
        ({"stamp": "A:shift", "journal": 5}, "journal is no str"),
        ({"stamp": "A:shift", "fence": 9, "journal": "j", "ended": "A:shift"}, ""),
        ({}, ""),
    ],
)
def test_a_mark_of_other_kinds_is_told(more: dict[str, Any], odd: str) -> None:
    assert JsonForm(COLORS).read(msgspec.json.encode({"weights": GREEN, **more})).odd_mark == odd


@pytest.mark.parametrize(("fence", "odd"), [("x", True), ("-1", True), ("9" * 5000, True), ("٣", True), ("7", False)])
def test_a_fence_that_is_no_number_is_told(fence: str, odd: bool) -> None:
    service = Service(
        metadata=Metadata(name="s", annotations={FENCE: fence, OP: "A:shift"}), spec=ServiceSpec(selector={"c": "blue"})
    )
    found = Control(None, ServiceSelector(None, "s", "c", COLORS)).state(service)
    assert (bool(found.odd_mark), found.fence) == (odd, 0 if odd else 7)


def newer_stamp(**fields: Any) -> bytes:
    """A stamp as a newer program may write it into the text of today."""
    text = TemplateForm(COLORS, TEMPLATE, "#").write(b"", GREEN, "A:shift", AT, 7).decode()
    line = next(line for line in text.splitlines() if "tealdeck:" in line)
    told = msgspec.json.decode(line.partition("tealdeck:")[2]) | fields
    return text.replace(line, f"# tealdeck:{msgspec.json.encode(told).decode()}").encode()


@pytest.mark.parametrize("fields", [{"signed": "x"}, {"fence": "7b"}, {"stamp": {"v": 2}}, {"generation": "3-1"}])
def test_a_stamp_of_a_newer_program_is_told_and_its_weights_hold(fields: dict[str, Any]) -> None:
    form = TemplateForm(COLORS, TEMPLATE, "#")
    content = newer_stamp(**fields)
    found = form.read(content)
    assert (found.weights, found.detail, bool(found.odd_mark)) == (GREEN, "", True)
    assert "\n" not in found.odd_mark
    back = form.read(form.write(content, {"blue": 100, "green": 0}, "B:shift-back", AT, 8))
    assert (back.weights, back.stamp, back.odd_mark) == ({"blue": 100, "green": 0}, "B:shift-back", "")
    edited = content.replace(b"server green", b"server blue")
    assert (form.read(edited).weights, bool(form.read(edited).detail)) == ({}, True)


@pytest.mark.parametrize("weights", [7, {"red": 100}, {"blue": 1}, {}])
def test_a_stamp_of_a_newer_program_without_weights_says_nothing_of_what_is_live(weights: Any) -> None:
    found = TemplateForm(COLORS, TEMPLATE, "#").read(newer_stamp(signed="x", weights=weights))
    assert (found.weights, bool(found.detail)) == ({}, True)


@pytest.mark.parametrize(("text", "owns"), [("", True), ("1/7/j/open", True), ("2/7/j/open/x", False), ("?", False)])
def test_what_a_newer_program_says_beside_a_mark_is_told(text: str, owns: bool) -> None:
    assert Mark.owns(text) is owns


@pytest.mark.parametrize(("more", "said"), [("", ""), (" by=2", "by=2"), (" by=2 at=x\n", "by=2 at=x")])
async def test_an_endpoint_of_a_newer_program_is_read(more: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(*_: Any, **__: Any) -> tuple[Any, bytes]:
        return SimpleNamespace(status_code=200), f"green gen=3 op=A:shift{more}".encode()

    monkeypatch.setattr(include, "fresh_request", answered)
    found = await include.running("http://127.0.0.1:1/__color", COLORS)
    assert (found.shares, found.generation, found.stamp, found.more) == (GREEN, 3, "A:shift", said)
    assert ("more" in repr(found)) is bool(said)
