"""What a switch file holds, in its two forms: JSON, or any text with the weights filled in and a stamp in a comment.

The stamp of a template carries the weights and a digest of everything around it, so that an edit by hand shows.

The journal that wrote, and that its action has ended, are where a program before 0.2 reads the file all the same: in
keys of JSON that it keeps and ignores, and in the text `at` of a stamp, since it refuses a stamp with other fields.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.command_line import command
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.models import Finding
from backends.ports import SwitchState, read_stamp
from backends.text import clean

MAX_BYTES = 1024 * 1024
STAMP_MARK = "tealdeck:"
_JOURNAL, _ENDS = " journal ", " ended"
_ENDED, _WRITTEN = "ended", "written"
_OTHER_CONFIG = (
    "written before its entry in the config was changed: it sends traffic elsewhere than the config says now"
)


class Stamp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The comment in a text: what was written, by which action and step, with which fence, when (then ` journal ID`,
    and ` ended`), and the digest of the rest."""

    weights: dict[str, int]
    generation: int
    stamp: str
    at: str
    digest: str
    fence: int = 0


def revision_of(content: bytes) -> str:
    """The token that changes with every change of the file."""
    return hashlib.sha256(content).hexdigest()[:16]


def check_weights(weights: dict[str, int], colors: tuple[str, ...]) -> str:
    """Why `weights` can not be in force; empty where they can."""
    unknown = [clean(color, 64) for color in weights if color not in colors]
    if unknown:
        return f"unknown color {', '.join(unknown)} (known: {', '.join(colors)})"
    if any(type(weight) is not int or not 0 <= weight <= 100 for weight in weights.values()):
        return "a weight is no whole number from 0 to 100"
    total = sum(weights.values())
    return "" if total == 100 else f"the weights sum to {total}, not 100"


def percent(amounts: dict[str, int]) -> dict[str, int]:
    """Amounts by color in percent of their sum, by the largest remainder; nothing of nothing is empty."""
    total = sum(amounts.values())
    if total <= 0:
        return {}
    found = {color: max(100 * amount // total, 1 if amount else 0) for color, amount in amounts.items()}
    by_remainder = sorted(amounts, key=lambda color: (100 * amounts[color] % total, amounts[color]), reverse=True)
    for color in by_remainder:
        if sum(found.values()) < 100 and amounts[color]:
            found[color] += 1
    excess = sum(found.values()) - 100
    found[max(found, key=lambda color: found[color])] -= excess
    return found


def fence_of(text: str) -> int | None:
    """The number of a fence; None for what is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def refuse_older_fence(where: str, found: SwitchState, stamp: str, fence: int, journal: str) -> None:
    """Raises BackendError(conflict) where a later lease of the same action has written: its old owner has woken up."""
    action = read_stamp(stamp).action
    if "" != journal != found.journal != "":
        return  # the numbers of two journals say nothing of each other
    if 0 < fence < found.fence and "" != action == read_stamp(found.stamp).action:
        message = f"{where}: {action} has been taken over: fence {found.fence}, ours is {fence}"
        raise BackendError("conflict", message, fix=command("action watch", action))


def armed_by_hand(found: SwitchState) -> bool:
    """Whether somebody's edit hides where the file leads, and a reload puts that in force: not a file that is as it was
    written."""
    return bool(found.edited) and not found.weights and not _of_other_config(found)


def edit_finding(path: Path, found: SwitchState) -> Finding:
    """What a write drops: what somebody changed in the file, or what it has of an older config."""
    if _of_other_config(found):
        text = f"{path}: {found.edited}: this write makes it as the config says now"
        fix = "see that the config sends traffic where it shall go"
    else:
        text = f"{path}: {found.edited}: what was changed there is dropped by this write"
        fix = "see who changed it, and put it into the config"
    return Finding(level="warning", code="changed-since", text=text, fix=fix)


def _of_other_config(found: SwitchState) -> bool:
    """Whether it is as it was written, by an entry that was changed since."""
    return _OTHER_CONFIG in found.edited


class JsonForm:
    """`{"weights": {…}, "generation": 7, "stamp": "<action>:<step>", "at": "…Z", "fence": 3, "journal": "…"}`, with the
    weights once more beside the stamp in `written`, which a hand that edits `weights` leaves as they are, and `ended`
    with the stamp of an action that is over; other keys are kept as they are."""

    def __init__(self, colors: tuple[str, ...]) -> None:
        self._colors = colors

    def read(self, content: bytes) -> SwitchState:
        """The state, with empty weights and the reason in `detail` where it can not be trusted."""
        revision = revision_of(content)
        try:
            data: Any = decode_text(content, object)
        except msgspec.DecodeError as error:
            # Damaged, or another's file: that is no edit, and what it was is for a person to see.
            return SwitchState(weights={}, revision=revision, detail=f"not JSON: {clean(str(error), 200)}")
        if isinstance(data, dict) and _ENDED in data:
            revision = revision_of(_formatted({key: value for key, value in data.items() if key != _ENDED}))
        weights = data.get("weights") if isinstance(data, dict) else None
        if not isinstance(weights, dict):
            return _unread('no object "weights"', revision)
        problem = check_weights(weights, self._colors)
        if problem:
            return _unread(problem, revision)
        full = {color: weights.get(color, 0) for color in self._colors}
        stamp, fence, journal = data.get("stamp"), data.get("fence"), data.get("journal")
        return SwitchState(
            weights=full,
            revision=revision,
            stamp=clean(stamp, 128) if isinstance(stamp, str) else "",
            fence=fence if type(fence) is int else 0,
            journal=clean(journal, 64) if isinstance(journal, str) else "",
            wrote=self._wrote(data.get(_WRITTEN), stamp),
            ended=data.get(_ENDED) == stamp != "",
            odd_mark=_odd(data),
        )

    def write(
        self, before: bytes, weights: dict[str, int], stamp: str, at: datetime, fence: int = 0, journal: str = ""
    ) -> bytes:
        """The new content; the generation goes up by one."""
        data = _kept(before)
        data |= {"weights": weights, "generation": _next(data.get("generation")), "stamp": stamp, "at": _utc(at)}
        data |= {_WRITTEN: {"stamp": stamp, "weights": weights}}
        for key, value in (("fence", fence), ("journal", journal), (_ENDED, "")):
            data.pop(key, None)
            data |= {key: value} if value else {}
        return _formatted(data)

    def mark_ended(self, before: bytes) -> bytes:
        """The same with the note that the action of its stamp is over."""
        data = decode_text(before, dict[str, Any])
        return _formatted(data | {_ENDED: data.get("stamp")})

    def _wrote(self, told: Any, stamp: Any) -> dict[str, int]:
        """Empty where it is of another write: an older program keeps what it does not know."""
        weights = told.get("weights") if isinstance(told, dict) and told.get("stamp") == stamp else None
        if not isinstance(weights, dict) or check_weights(weights, self._colors):
            return {}
        return {color: weights.get(color, 0) for color in self._colors}


class StampedForm:
    """Text of our own with a stamp in one comment. `body` makes it from weights, stamp and generation, with `{stamp}`
    once where a comment may stand; it raises ValueError for weights that such a text can not say. `as_written`: whether
    an edited text surely sends traffic where the one that was written does; `same_places`: whether one that nobody
    edited does so that this config would write; both by default where no word differs."""

    def __init__(
        self,
        colors: tuple[str, ...],
        comment: str,
        body: Callable[[dict[str, int], str, int], str],
        as_written: Callable[[str, str], bool] | None = None,
        same_places: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._colors = colors
        self._comment = comment
        self._body = body
        self._as_written = as_written or self._same_words
        self._same_places = same_places or self._same_words

    def read(self, content: bytes) -> SwitchState:
        """As `JsonForm.read`."""
        revision = revision_of(content)

        def unknown(detail: str) -> SwitchState:
            return _unread(detail, revision)

        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            return SwitchState(weights={}, revision=revision, detail=f"not UTF-8 at byte {error.start}")
        line = self._stamp_line(text)
        if line is None:
            return unknown("no stamp: not written by this program")
        told = line.partition(STAMP_MARK)[2]
        try:
            stamp = decode_text(told, Stamp)
        except msgspec.DecodeError as error:
            newer = self._newer(told, revision, str(error), _digest(text.replace(line, "", 1)))
            return newer or unknown(f"the stamp is damaged: {clean(str(error), 200)}")
        problem = check_weights(stamp.weights, self._colors)
        edited = ""
        if stamp.digest == _digest(text.replace(line, "", 1)):
            if not problem and not self._is_like_made(text.replace(line, "", 1), stamp, self._same_places):
                return unknown(_OTHER_CONFIG)
        else:
            edited = "edited by hand since it was written"
            if problem or not self._is_like_made(text.replace(line, "", 1), stamp, self._as_written):
                return unknown(f"{edited}: its text is not that of its stamp")
            edited += ", and who is live is as it was written"
        if problem:
            return unknown(problem)
        weights = {color: stamp.weights.get(color, 0) for color in self._colors}
        journal, ended = stamp.at.partition(_JOURNAL)[2], stamp.at.endswith(_ENDS)
        if ended:
            open_ = replace(stamp, at=stamp.at.removesuffix(_ENDS).removesuffix(_JOURNAL))
            revision = revision_of(text.replace(line, self._line(open_), 1).encode())
        return SwitchState(
            weights=weights, revision=revision, stamp=clean(stamp.stamp, 128), fence=stamp.fence,
            journal=clean(journal.removesuffix(_ENDS), 64), wrote=weights, ended=ended, edited=edited,
        )  # fmt: skip

    def _is_like_made(self, text: str, stamp: Stamp, judge: Callable[[str, str], bool]) -> bool:
        """Whether a text sends traffic where the one does that this config makes for its stamp."""
        try:
            full = {color: stamp.weights.get(color, 0) for color in self._colors}
            return judge(text, self._body(full, stamp.stamp, stamp.generation).replace("{stamp}", "", 1))
        except ValueError:
            return False

    def _same_words(self, text: str, made: str) -> bool:
        """Nothing but comments and spaces differs."""
        return _words(text, self._comment) == _words(made, self._comment)

    def _newer(self, told: str, revision: str, why: str, digest: str) -> SwitchState | None:
        """A stamp of other fields, as a newer program may write it: its weights hold where its text was not edited."""
        try:
            data: Any = decode_text(told, object)
        except msgspec.DecodeError:
            return None
        weights = data.get("weights") if isinstance(data, dict) else None
        if not isinstance(weights, dict) or check_weights(weights, self._colors) or data.get("digest") != digest:
            return None
        stamp, fence = data.get("stamp"), data.get("fence")
        return SwitchState(
            weights={color: weights.get(color, 0) for color in self._colors}, revision=revision,
            stamp=clean(stamp, 128) if isinstance(stamp, str) else "", fence=fence if type(fence) is int else 0,
            odd_mark=clean(why, 200),
        )  # fmt: skip

    def write(
        self, before: bytes, weights: dict[str, int], stamp: str, at: datetime, fence: int = 0, journal: str = "",
        *, generation: int | None = None,
    ) -> bytes:  # fmt: skip
        """As `JsonForm.write`; `generation`: of a write that was, by default the next. Raises ValueError for weights
        that the text can not say."""
        generation = self.generation(before) + 1 if generation is None else generation
        body = self._body(weights, stamp, generation)
        made = Stamp(
            weights=weights,
            generation=generation,
            stamp=stamp,
            at=_utc(at) + (_JOURNAL + journal if journal else ""),
            digest=_digest(body.replace("{stamp}", "", 1)),
            fence=fence,
        )
        return body.replace("{stamp}", self._line(made), 1).encode()

    def mark_ended(self, before: bytes) -> bytes:
        """As `JsonForm.mark_ended`; only the comment changes."""
        text = before.decode()
        line = self._stamp_line(text) or ""
        stamp = decode_text(line.partition(STAMP_MARK)[2], Stamp)
        at = stamp.at if _JOURNAL in stamp.at else stamp.at + _JOURNAL
        return text.replace(line, self._line(replace(stamp, at=at.removesuffix(_ENDS) + _ENDS)), 1).encode()

    def generation(self, content: bytes) -> int:
        """That of the stamp; 0 where there is none."""
        line = self._stamp_line(content.decode("utf-8", "replace"))
        text = "{}" if line is None else line.partition(STAMP_MARK)[2]
        try:
            found = decode_text(text, dict[str, Any]).get("generation")
        except msgspec.DecodeError:
            found = None
        return _next(found) - 1

    def _line(self, stamp: Stamp) -> str:
        return f"{self._comment} {STAMP_MARK}{msgspec.json.encode(stamp).decode()}"

    def _stamp_line(self, text: str) -> str | None:
        start = f"{self._comment} {STAMP_MARK}"
        at = text.find(start)
        return None if at < 0 else text[at:].split("\n", 1)[0]


class TemplateForm(StampedForm):
    """Text with `{blue}` or `{blue_weight}` (each color's weight), `{live}` (the color that has all) and `{stamp}`
    filled in.

    Other braces stay, so a piece of nginx configuration can be written as it is.
    """

    def __init__(self, colors: tuple[str, ...], template: str, comment: str) -> None:
        def body(weights: dict[str, int], stamp: str, generation: int) -> str:
            found = template
            live = [color for color, weight in weights.items() if weight > 0]
            if "{live}" in found:
                if len(live) != 1:
                    raise ValueError("the template says {live}: it can not split traffic")
                found = found.replace("{live}", live[0])
            for color in colors:
                for token in (f"{{{color}}}", f"{{{color}_weight}}"):
                    found = found.replace(token, str(weights.get(color, 0)))
            return found

        super().__init__(colors, comment, body)


def template_problem(template: str, colors: tuple[str, ...]) -> str:
    """What is missing in a template; empty where it can be used."""
    if template.count("{stamp}") != 1:
        return "template needs {stamp} exactly once, on a line where a comment may stand"
    if not template.split("{stamp}")[1].startswith(("\n", "\r\n")) and template.split("{stamp}")[1]:
        return "nothing may follow {stamp} on its line"
    missing = [color for color in colors if not {f"{{{color}}}", f"{{{color}_weight}}"} & set(_tokens(template))]
    return "" if "{live}" in template or not missing else f"template lacks {{{missing[0]}}} or {{live}}"


def _tokens(template: str) -> list[str]:
    return re.findall(r"\{\w+\}", template)


def _unread(detail: str, revision: str) -> SwitchState:
    return SwitchState(weights={}, revision=revision, detail=detail, edited=detail)


def _kept(before: bytes) -> dict[str, Any]:
    """What a new content keeps of the one before: nothing of one that can not be read."""
    try:
        return decode_text(before, dict[str, Any]) if before else {}
    except msgspec.MsgspecError:
        return {}


def _words(text: str, comment: str) -> list[list[str]]:
    lines = (line.split() for line in text.splitlines() if not line.lstrip().startswith(comment))
    return [words for words in lines if words]


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _odd(data: dict[str, Any]) -> str:
    """What of a mark is not of the kind that this program writes, in words; empty for nothing."""
    kinds = {"stamp": str, "fence": int, "journal": str, _ENDED: str}
    return ", ".join(
        f"{key} is no {kind.__name__}" for key, kind in kinds.items() if type(data.get(key, kind())) is not kind
    )


def _next(generation: Any) -> int:
    return generation + 1 if type(generation) is int and generation >= 0 else 1


def _formatted(data: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
