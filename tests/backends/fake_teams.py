"""A workflow of Microsoft Teams on loopback, as its documentation tells of it: it accepts with 202 and no body, and
posts afterwards. What it could not post is in its run history only (`failed_runs`), never in the answer.

The message is held to `MESSAGE`, written by hand after Microsoft's schema of Adaptive Cards 1.2 (adaptivecards.io),
with nothing but the elements that are used; what is sent was held to the schema itself when this was written.
"""

import json
import re
from typing import Any

from jsonschema import Draft202012Validator

from tests.backends.faulty_server import FaultyServer, Received

LARGEST_BYTES = 28 * 1024
COLORS = ["default", "dark", "light", "accent", "good", "warning", "attention"]


def _thing(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


_RUN = _thing(
    ["type", "text"], type={"const": "TextRun"}, text={"type": "string"}, isSubtle={"type": "boolean"},
    color={"enum": [*COLORS, *(color.capitalize() for color in COLORS)]},
)  # fmt: skip
_RICH = _thing(["type", "inlines"], type={"const": "RichTextBlock"}, inlines={"type": "array", "items": _RUN})
_BLOCK = _thing(["type", "text"], type={"const": "TextBlock"}, text={"type": "string"}, wrap={"type": "boolean"})
_CARD = {
    **_thing(
        ["type", "version", "body"], type={"const": "AdaptiveCard"}, version={"enum": ["1.2"]},
        body={"type": "array", "minItems": 1, "items": {"anyOf": [_RICH, _BLOCK]}},
    ),
    "patternProperties": {r"^\$schema$": {"type": "string", "format": "uri"}},
}  # fmt: skip
_ATTACHMENT = _thing(
    ["contentType", "content"], contentType={"const": "application/vnd.microsoft.card.adaptive"},
    contentUrl={"type": "null"}, content=_CARD,
)  # fmt: skip
MESSAGE = _thing(
    ["type", "attachments"], type={"const": "message"},
    attachments={"type": "array", "minItems": 1, "maxItems": 1, "items": _ATTACHMENT},
)  # fmt: skip
_VALID = Draft202012Validator(MESSAGE)


class FakeTeams(FaultyServer):
    """`posted` is what people read in the channel, one list of lines a card; `may_post = False`: its owner has left."""

    def __init__(self) -> None:
        super().__init__(answer=self._trigger)
        self.posted: list[list[str]] = []
        self.failed_runs: list[str] = []
        self.may_post = True

    def _trigger(self, request: Received) -> tuple[int, Any]:
        if request.method != "POST":
            return 404, {"error": {"code": "NotFound", "message": "no trigger for it"}}
        self._run(request.body)
        return 202, ""

    def _run(self, body: bytes) -> None:
        if not self.may_post:
            self.failed_runs.append("Forbidden: the bot is not part of the conversation roster")
        elif len(body) > LARGEST_BYTES:
            self.failed_runs.append("RequestEntityTooLarge")
        elif problems := sorted(error.message for error in _VALID.iter_errors(json.loads(body))):
            self.failed_runs.append(problems[0])
        else:
            self.posted.append([shown(each) for each in json.loads(body)["attachments"][0]["content"]["body"]])


def shown(element: dict[str, Any]) -> str:
    """What a reader sees of an element: a run as it is, a block after its Markdown."""
    if element["type"] == "RichTextBlock":
        return "".join(run["text"] for run in element["inlines"])
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", element["text"])
    return re.sub(r"\*\*(.+?)\*\*|_(.+?)_", lambda found: found[1] or found[2], text)
