"""Slack's Web API on loopback, after its documentation (docs.slack.dev/reference/methods): `chat.postMessage`,
`chat.update`, `auth.test`, their arguments, their example answers, and a refusal that is HTTP 200 with `ok: false`.

What a reader sees is after Slack's rules of text: `<!channel>` calls everybody, and `@channel` does where names are
linked, which `chat.update` does (`parse: client`) unless it is told otherwise.
"""

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from tests.backends.faulty_server import FaultyServer, Received

ARGUMENTS = {
    "chat.postMessage": (
        "channel text as_user attachments blocks icon_emoji icon_url link_names markdown_text metadata mrkdwn parse"
        " reply_broadcast thread_ts unfurl_links unfurl_media username"
    ),
    "chat.update": (
        "channel ts attachments blocks text as_user file_ids link_names markdown_text metadata parse reply_broadcast"
    ),
    "auth.test": "",
}
LONGEST_CHARS = 40_000


@dataclass
class Message:
    """One message; `called`: it rang for everybody in the channel."""

    channel: str
    ts: str
    text: str
    thread_ts: str = ""
    broadcast: bool = False
    edits: int = 0
    called: bool = False

    @property
    def shown(self) -> str:
        """As a reader has it."""
        return html.unescape(self.text)


class FakeSlack(FaultyServer):
    """`says` is an error that the next `says_left` calls of `says_to` get (all methods where that is empty)."""

    def __init__(self, token: str, channel: str = "C1H9RESGL", name: str = "#data-oncall") -> None:
        super().__init__(answer=self._call)
        self.token, self.channel, self.name = token, channel, name
        self.messages: list[Message] = []
        self.says, self.says_to, self.says_left = "", "", -1
        self.scopes = "chat:write,channels:read"
        self._made = 0

    @property
    def heads(self) -> list[Message]:
        """Those that stand in the channel by themselves."""
        return [message for message in self.messages if not message.thread_ts]

    def thread(self, head: Message) -> list[Message]:
        """The replies to it."""
        return [message for message in self.messages if message.thread_ts == head.ts]

    def calls(self) -> list[str]:
        return [request.target.rpartition("/")[2] for request in self.requests]

    def _call(self, request: Received) -> tuple[int, Any]:
        method = request.target.removeprefix("/api/")
        self.extra_headers.setdefault("x-oauth-scopes", self.scopes)
        if request.method != "POST" or method not in ARGUMENTS:
            return 200, _no("unknown_method")
        if self.says and self.says_left and self.says_to in ("", method):
            self.says_left -= 1
            return 200, _no(self.says)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return 200, _no("invalid_auth" if "authorization" in request.headers else "not_authed")
        if not request.headers.get("content-type", "").startswith("application/json"):
            return 200, _no("invalid_post_type")
        asked = json.loads(request.body)
        if set(asked) - set(ARGUMENTS[method].split()):
            return 200, _no("invalid_arg_name")
        does = {"chat.postMessage": self._post, "chat.update": self._update, "auth.test": self._test}
        return 200, does[method](asked)

    def _test(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "ok": True, "url": "https://subarachnoid.slack.com/", "team": "Subarachnoid Workspace", "user": "bot",
            "team_id": "T0G9PQBBK", "user_id": "W23456789", "bot_id": "BZYBOTHED", "is_enterprise_install": False,
        }  # fmt: skip

    def _post(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("channel") not in (self.channel, self.name):
            return _no("channel_not_found")
        if problem := _problem(asked):
            return _no(problem)
        self._made += 1
        message = Message(
            self.channel, f"1503435956.{self._made:06}", asked["text"], asked.get("thread_ts", ""),
            asked.get("reply_broadcast", False), called=_calls(asked, "none"),
        )  # fmt: skip
        self.messages.append(message)
        said = {"text": message.text, "bot_id": "B19LU7CSY", "type": "message", "subtype": "bot_message"}
        return {"ok": True, "channel": message.channel, "ts": message.ts, "message": {**said, "ts": message.ts}}

    def _update(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("channel") != self.channel:  # its ID: a name is not enough here
            return _no("channel_not_found")
        found = [message for message in self.messages if message.ts == asked.get("ts")]
        if not found:
            return _no("message_not_found")
        if problem := _problem(asked):
            return _no(problem)
        (message,) = found
        message.text, message.edits = asked["text"], message.edits + 1
        message.called |= _calls(asked, "client")
        said = {"text": message.text, "user": "U34567890"}
        return {"ok": True, "channel": message.channel, "ts": message.ts, "text": message.text, "message": said}


def _problem(asked: dict[str, Any]) -> str:
    text = asked.get("text", "")
    return "no_text" if not text else "msg_too_long" if len(text) > LONGEST_CHARS else ""


def _calls(asked: dict[str, Any], parse: str) -> bool:
    linked = asked.get("parse", parse) != "none" or asked.get("link_names", False)
    called = r"<!(channel|here|everyone)[^>]*>" + (r"|(?<!\w)@(channel|here|everyone)\b" if linked else "")
    return re.search(called, asked["text"]) is not None


def _no(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}
