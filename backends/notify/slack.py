"""Slack: by a bot's token one message an action, edited and threaded; or an incoming webhook, also Mattermost's.

```toml
type = "slack"
token = { env = "SLACK_BOT_TOKEN" }   # of a bot with the scope chat:write, which is a member of the channel
channel = "C0123456789"
```
```toml
type = "slack"
webhook = { env = "SLACK_WEBHOOK_URL" }
```
A webhook can not edit: it posts the begin, each hold and the end of an action, one message each.
API: https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/reference/methods/chat.update
"""

import re
from typing import Any

from msgspec import Struct

from backends.credentials import refuse_bad_url
from backends.errors import BackendError, ErrorKind
from backends.http import Answer, decode_json
from backends.notify.posting import FIX_REFUSED, POST_TIMEOUT_S, UNSAID_WAIT_S, post, reach
from backends.ports import ActionEvent, EventKind
from backends.redaction import learn, quoted
from backends.registry import AdapterContext
from backends.settings import Duration, Secret

MAX_TEXT_CHARS = 3000
MAX_REASON_CHARS = 500
_LOUD: frozenset[EventKind] = frozenset({"held", "failed", "rolled_back", "rollback_failed"})
"""Shown in the channel, too: what is edited, or said in a thread, wakes nobody."""
_CALLS_ALL = r"(?i)(?<![\w@])@(?=(?:channel|here|everyone|all|group)\b)"
_REFERENCE = r"([CDG][A-Z0-9]{5,20})/(\d{1,12}\.\d{1,9})"
_CHANNEL_ID = r"[CDG][A-Z0-9]{7,20}"
_GONE = frozenset({"message_not_found", "cant_update_message", "channel_not_found", "is_inactive", "team_not_found"})
_NO_EDIT = frozenset({"edit_window_closed", "external_channel_migrating", "update_failed"})
_KINDS: dict[ErrorKind, frozenset[str]] = {
    "rate_limited": frozenset({"ratelimited", "rate_limited"}),
    "not_found": frozenset({"channel_not_found", "not_in_channel", "is_archived", "team_not_found"}),
    "unreachable": frozenset({"fatal_error", "internal_error", "service_unavailable", "team_added_to_org"}),
    "auth": frozenset({
        "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "missing_scope",
        "no_permission", "access_denied", "not_allowed_token_type", "ekm_access_denied", "accesslimited",
        "restricted_action", "org_login_required",
    }),
}  # fmt: skip
_FIXES = {
    "not_in_channel": "invite the bot to the channel",
    "channel_not_found": "invite the bot to the channel, and name that by its ID",
    "missing_scope": "give the app the scope chat:write, and install it anew",
}


class SlackConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `token` with its `channel`, or a `webhook`: whoever knows that may write to its channel.

    webhook: of the channel; also Mattermost's and Rocket.Chat's.
    token: of a bot with the scope `chat:write`.
    channel: where it writes, best by its ID; the bot is a member of it.
    url: of Slack's Web API, or of a proxy to it.
    timeout: of one request.
    """

    webhook: Secret | None = None
    token: Secret | None = None
    channel: str = ""
    url: str = "https://slack.com/api"
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        if (self.webhook is None) == (self.token is None):
            raise ValueError("webhook, or token with channel: one of them")
        if bool(self.channel.strip()) != (self.token is not None):
            raise ValueError("token and channel come together")


class _Said(Struct):
    ok: bool = False
    error: str = ""
    channel: str = ""
    ts: str = ""


class _Refused(BackendError):
    """What Slack said no to. `word`: its own for it."""

    word = ""


class SlackNotifier:
    """By a token one message an action, which always says how it stands, with all that happened in its thread; what
    went wrong or waits for a person is shown in the channel, too. By a webhook one message an event."""

    api = 1
    Config = SlackConfig

    def __init__(self, config: SlackConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context
        self._label = f"notify.{context.name}"

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError."""
        await self.follow(event, "")

    async def follow(self, event: ActionEvent, earlier: str) -> str:
        """`earlier` is CHANNEL/TS of a message, and empty with a webhook. Raises BackendError."""
        if self._config.webhook is not None:
            url = await self._webhook(self._config.webhook)
            body = {"text": _text(event)}
            await post(self._context.http, url, body, label=self._label, timeout=self._config.timeout)
            return ""
        place = self._place(earlier)
        if place is None:
            return await self._begin(event)
        channel, ts = place
        edited = True
        try:
            # What is not said of `parse` is "client" here, unlike in chat.postMessage, and makes links of names.
            await self._call("chat.update", channel=channel, ts=ts, text=_headline(event), parse="none")
        except _Refused as refused:
            if refused.word in _GONE:
                return await self._begin(event)
            if refused.word not in _NO_EDIT:
                raise
            edited = False
        loud = event.what in _LOUD or not edited
        await self._say(channel=channel, thread_ts=ts, text=_text(event), reply_broadcast=loud)
        return earlier

    async def dry_run(self) -> None:
        """Whether the token is one and has the scope; that the bot is in the channel, only a message tells. Raises
        BackendError."""
        if self._config.webhook is not None:
            url = await self._webhook(self._config.webhook)
            await reach(self._context.http, url, label=self._label, timeout=self._config.timeout)
            return
        _, answer = await self._call("auth.test")
        scopes = answer.headers.get("x-oauth-scopes")
        if scopes is not None and "chat:write" not in re.split(r"[,\s]+", scopes):
            raise BackendError("auth", f"{self._label}: missing_scope", fix=_FIXES["missing_scope"])

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def _webhook(self, webhook: Secret) -> str:
        url = await webhook.resolve(self._context.base_dir)
        learn(*url.split("/")[3:])
        return url

    def _place(self, earlier: str) -> tuple[str, str] | None:
        """Channel and timestamp of a message; of another channel than the config names it is nobody's."""
        found, wanted = re.fullmatch(_REFERENCE, earlier, re.ASCII), self._config.channel
        if found is None or (re.fullmatch(_CHANNEL_ID, wanted) and found[1] != wanted):
            return None
        return found[1], found[2]

    async def _begin(self, event: ActionEvent) -> str:
        said = await self._say(channel=self._config.channel, text=_headline(event))
        reference = f"{said.channel}/{said.ts}"
        return reference if re.fullmatch(_REFERENCE, reference, re.ASCII) else ""

    async def _say(self, **asked: Any) -> _Said:
        plain = {"parse": "none", "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        said, _ = await self._call("chat.postMessage", **asked, **plain)
        return said

    async def _call(self, method: str, **asked: Any) -> tuple[_Said, Answer]:
        assert self._config.token is not None
        token = await self._config.token.resolve(self._context.base_dir)
        answer = await post(
            self._context.http, f"{self._config.url.rstrip('/')}/{method}", asked, label=self._label,
            headers={"Authorization": f"Bearer {token}"}, timeout=self._config.timeout,
        )  # fmt: skip
        said = decode_json(answer.body, _Said, where=self._label)
        if not said.ok:  # a refusal is HTTP 200
            raise self._refusal(method, said.error, answer, token)
        return said, answer

    def _refusal(self, method: str, word: str, answer: Answer, token: str) -> _Refused:
        kind: ErrorKind = next((kind for kind, words in _KINDS.items() if word in words), "malformed")
        wait = answer.headers.get("retry-after", "")
        wait_s = (float(wait) if wait.isdecimal() else UNSAID_WAIT_S) if kind == "rate_limited" else None
        words = f"{self._label}: {method}: {quoted(word, 100, [token]) or 'neither ok nor an error'}"
        fix = _FIXES.get(word, FIX_REFUSED if kind in ("auth", "not_found") else "")
        refused = _Refused(kind, words, fix=fix, retry_after_s=wait_s)
        refused.word = word
        return refused


def _headline(event: ActionEvent) -> str:
    """How it stands, and who ordered it why: what told of the begin is gone when this stands in its place."""
    reason = quoted(event.reason, MAX_REASON_CHARS)
    why = ": ".join(part for part in (event.by, reason) if part)
    return _text(event) if event.what == "started" or not why else f"{_text(event)}\n{escaped(why)}"


def _text(event: ActionEvent) -> str:
    return escaped(quoted(event.text, MAX_TEXT_CHARS))


def escaped(text: str) -> str:
    """`text` without markup of links and mentions: a reason that says `<!channel>` or `@channel` calls nobody."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(_CALLS_ALL, "@\u200b", plain)
