"""The notifier `slack` by a token, against Slack's Web API on loopback: one message an action, edited and threaded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.notify import delivery
from backends.notify.slack import MAX_TEXT_CHARS, SlackNotifier, escaped
from backends.redaction import learn
from backends.testing.notify import SECRET, FollowingContract, event, says_nothing_secret
from tests.backends.fake_slack import FakeSlack
from tests.backends.test_notify import FAULTS_OF, OverHttp, made

TOKEN = f"xoxb-{SECRET}"


class Channel:
    """Of a message its first line: what is told."""

    def __init__(self, slack: FakeSlack) -> None:
        self.slack = slack

    def arrived(self) -> list[str]:
        return [message.shown.partition("\n")[0] for message in self.slack.heads]

    def kept(self) -> int:
        return len(self.slack.heads)

    def lose(self) -> None:
        self.slack.messages.clear()

    def fail(self, how: str) -> None:
        self.slack.fault = FAULTS_OF[how]

    async def stop(self) -> None:
        await self.slack.stop()


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    slack = FakeSlack(TOKEN)
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    async with slack:
        yield slack


def a_bot(slack: FakeSlack, **config: Any) -> dict[str, Any]:
    return {"token": {"env": "SLACK_BOT_TOKEN"}, "channel": slack.channel, "url": f"{slack.url}/api", **config}


@pytest.fixture
def bot(slack: FakeSlack, http: Http, tmp_path: Path) -> SlackNotifier:
    found = made("slack", http, tmp_path, **a_bot(slack))
    assert isinstance(found, SlackNotifier)
    return found


class TestSlackByToken(OverHttp, FollowingContract):
    @pytest.fixture
    def system(self, slack: FakeSlack) -> Channel:
        return Channel(slack)

    @pytest.fixture
    def entry(self, slack: FakeSlack) -> tuple[str, dict[str, Any]]:
        return "slack", a_bot(slack)


async def test_a_message_says_how_it_stands_and_its_thread_what_happened(bot: SlackNotifier, slack: FakeSlack) -> None:
    begun = "production: flip analytics blue → green started by maria@ops1: release 2.4"
    message = await bot.follow(event("started", text=begun), "")
    await bot.follow(event("held", text="held: nobody could look"), message)
    await bot.follow(event("succeeded", text="succeeded"), message)
    (head,) = slack.heads
    assert (head.shown, head.edits, message) == ("succeeded\nmaria@ops1: release 2.4", 2, f"C1H9RESGL/{head.ts}")
    replies = slack.thread(head)
    assert [(reply.shown, reply.broadcast) for reply in replies] == [
        ("held: nobody could look", True),
        ("succeeded", False),
    ]


@pytest.mark.parametrize("what", ["held", "failed", "rolled_back", "rollback_failed"])
async def test_what_an_edit_would_tell_nobody_is_shown_in_the_channel(
    bot: SlackNotifier, slack: FakeSlack, what: Any
) -> None:
    await bot.follow(event(what), await bot.follow(event("started"), ""))
    assert [reply.broadcast for reply in slack.thread(slack.heads[0])] == [True]


@pytest.mark.parametrize(
    "said", ["<!channel>", "@channel", "@here and @everyone", "<@U123> <https://evil|x>", "(@all)"]
)
async def test_nobody_is_called_by_a_reason(bot: SlackNotifier, slack: FakeSlack, said: str) -> None:
    message = await bot.follow(event("started", text=said, reason=said), "")
    await bot.follow(event("failed", text=said, reason=said), message)
    assert [message.called for message in slack.messages] == [False, False]
    assert all(message.shown.replace("\u200b", "").startswith(said) for message in slack.messages)
    updated = next(request for request in slack.requests if request.target.endswith("chat.update"))
    assert b'"parse":"none"' in updated.body


def test_an_address_is_no_call() -> None:
    assert escaped("maria@here.example, x@all, @allie") == "maria@here.example, x@all, @allie"
    assert escaped("@CHANNEL") == "@\u200bCHANNEL"


@pytest.mark.parametrize("error", ["ratelimited", "rate_limited"])
@pytest.mark.parametrize("method", ["chat.update", "chat.postMessage"])
async def test_a_limit_by_either_word_is_waited_for_once(
    bot: SlackNotifier, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, error: str, method: str
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(delivery, "sleep", sleep)
    message = await delivery.deliver(bot, event("started"), timeout_s=30)
    slack.extra_headers = {"retry-after": "7"}
    slack.says, slack.says_to, slack.says_left = error, method, 1
    assert await delivery.deliver(bot, event("held"), timeout_s=30, earlier=message) == message
    assert (waited, len(slack.heads), len(slack.thread(slack.heads[0]))) == ([7.0], 1, 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_auth", "auth"), ("missing_scope", "auth"), ("not_in_channel", "not_found"),
        ("is_archived", "not_found"), ("fatal_error", "unreachable"), ("msg_too_long", "malformed"), ("", "malformed"),
        (f"no {TOKEN}", "malformed"),
    ],
)  # fmt: skip
async def test_a_refusal_is_http_200_and_an_error_all_the_same(
    bot: SlackNotifier, slack: FakeSlack, error: str, kind: str
) -> None:
    slack.answer = lambda request: (200, {"ok": False, "error": error})
    with pytest.raises(BackendError) as caught:
        await bot.notify(event())
    assert caught.value.kind == kind
    assert caught.value.message.startswith("notify.mine: chat.postMessage: ")
    says_nothing_secret(caught.value)


@pytest.mark.parametrize("answer", ["<html>Sign in</html>", "ok", [], {"ok": "yes"}])
async def test_what_is_not_slack_is_malformed(bot: SlackNotifier, slack: FakeSlack, answer: Any) -> None:
    slack.answer = lambda request: (200, answer)
    with pytest.raises(BackendError) as caught:
        await bot.notify(event())
    assert caught.value.kind == "malformed"
    says_nothing_secret(caught.value)


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "channel_not_found"])
async def test_a_message_that_can_not_be_edited_any_more_is_posted_anew(
    bot: SlackNotifier, slack: FakeSlack, error: str
) -> None:
    first = await bot.follow(event("started"), "")
    slack.says, slack.says_to, slack.says_left = error, "chat.update", 1
    second = await bot.follow(event("failed", text="failed: smoke"), first)
    assert (second != first, slack.heads[-1].shown) == (True, "failed: smoke\nmaria@ops1: release 2.4")


async def test_where_the_time_to_edit_is_over_the_thread_says_it_to_the_channel(
    bot: SlackNotifier, slack: FakeSlack
) -> None:
    message = await bot.follow(event("started", text="started"), "")
    slack.says, slack.says_to, slack.says_left = "edit_window_closed", "chat.update", 1
    assert await bot.follow(event("succeeded", text="succeeded"), message) == message
    (head,) = slack.heads
    (reply,) = slack.thread(head)
    assert (head.shown, reply.shown, reply.broadcast) == ("started", "succeeded", True)


async def test_a_channel_by_name_is_edited_by_its_id(slack: FakeSlack, http: Http, tmp_path: Path) -> None:
    bot = made("slack", http, tmp_path, **a_bot(slack, channel=slack.name))
    assert isinstance(bot, SlackNotifier)
    await bot.follow(event("held"), await bot.follow(event("started"), ""))
    assert [head.edits for head in slack.heads] == [1]


async def test_a_message_in_another_channel_is_left_alone(bot: SlackNotifier, slack: FakeSlack) -> None:
    await bot.follow(event("held"), "C0THERS0NE/1503435956.000001")
    assert slack.calls() == ["chat.postMessage"]


async def test_a_dry_run_misses_the_scope(bot: SlackNotifier, slack: FakeSlack) -> None:
    await bot.dry_run()
    slack.extra_headers["x-oauth-scopes"] = "channels:read"
    with pytest.raises(BackendError, match="missing_scope") as caught:
        await bot.dry_run()
    assert (caught.value.kind, "chat:write" in caught.value.fix) == ("auth", True)
    slack.token = "xoxb-another"
    with pytest.raises(BackendError, match=r"auth\.test: invalid_auth"):
        await bot.dry_run()


async def test_a_long_text_is_cut_after_it_was_redacted(bot: SlackNotifier, slack: FakeSlack) -> None:
    learn("Zx81SpectrumTokenOfACut")
    for before in (MAX_TEXT_CHARS - 12, MAX_TEXT_CHARS - 5, MAX_TEXT_CHARS):
        await bot.notify(event(text="x" * before + "Zx81SpectrumTokenOfACut&" + "&" * 9000))
    assert all(b"Zx81Spec" not in request.body for request in slack.requests)
    assert [len(message.shown.partition("\n")[0]) for message in slack.heads] == [MAX_TEXT_CHARS] * 3


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "one of them"),
        ({"webhook": {"env": "A"}, "token": {"env": "B"}, "channel": "C1"}, "one of them"),
        ({"token": {"env": "B"}}, "come together"),
        ({"webhook": {"env": "A"}, "channel": "C1"}, "come together"),
        ({"token": TOKEN, "channel": "C1"}, "token"),
        ({"token": {"env": "B"}, "channel": "C1", "url": f"https://u:{SECRET}@slack.example.com"}, "URL"),
    ],
)
def test_what_is_refused(http: Http, tmp_path: Path, config: dict[str, Any], says: str) -> None:
    with pytest.raises(BackendError, match=says) as caught:
        made("slack", http, tmp_path, **config)
    assert (caught.value.kind, SECRET in caught.value.message) == ("config", False)
