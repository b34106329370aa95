"""The notifier `teams` against a workflow on loopback that accepts first and posts afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.notify.teams import MAX_TEXT_CHARS, message
from backends.ports import Notifier
from backends.redaction import learn
from backends.testing.notify import SECRET, event, says_nothing_secret
from tests.backends.fake_teams import LARGEST_BYTES, FakeTeams
from tests.backends.test_notify import FAULTS_OF, OverHttp, made

MARKUP = "**ok** _all_ [log in](https://evil.example) <at>everyone</at> - one 1. two `x`"


class Channel:
    """Of a card its first line: what is told."""

    def __init__(self, teams: FakeTeams) -> None:
        self.teams = teams

    def arrived(self) -> list[str]:
        assert self.teams.failed_runs == []
        return [lines[0] for lines in self.teams.posted]

    def fail(self, how: str) -> None:
        self.teams.fault = FAULTS_OF[how]

    async def stop(self) -> None:
        await self.teams.stop()


@pytest.fixture
async def teams(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeTeams]:
    teams = FakeTeams()
    async with teams:
        monkeypatch.setenv("HOOK_URL", f"{teams.url}/workflows/{SECRET}/triggers/manual/paths/invoke?sig={SECRET}2")
        yield teams


class TestTeams(OverHttp):
    @pytest.fixture
    def system(self, teams: FakeTeams) -> Channel:
        return Channel(teams)

    @pytest.fixture
    def entry(self, teams: FakeTeams) -> tuple[str, dict[str, Any]]:
        return "teams", {"webhook": {"env": "HOOK_URL"}}

    async def test_markup_of_others_stays_text(self, notifier: Notifier, system: Channel) -> None:
        await notifier.notify(event(text=MARKUP, reason=MARKUP))
        assert system.teams.posted == [[MARKUP, f"maria@ops1: {MARKUP}"]]

    async def test_a_start_says_its_reason_once(self, notifier: Notifier, system: Channel) -> None:
        text = "production: flip analytics blue → green started by maria@ops1: release 2.4"
        await notifier.notify(event("started", text=text))
        await notifier.notify(event("held", by="", reason=""))
        assert [len(lines) for lines in system.teams.posted] == [1, 1]

    async def test_what_is_accepted_is_not_yet_posted(self, notifier: Notifier, system: Channel) -> None:
        system.teams.may_post = False
        await notifier.notify(event())
        assert (len(system.teams.failed_runs), system.teams.posted) == (1, [])

    @pytest.mark.parametrize("answered", [(200, "1"), (200, "Webhook message delivery failed"), (204, "")])
    async def test_who_answers_otherwise_is_no_workflow(
        self, notifier: Notifier, system: Channel, answered: tuple[int, str]
    ) -> None:
        system.teams.answer = lambda request: answered
        with pytest.raises(BackendError, match=f"HTTP {answered[0]} is no answer of a workflow") as caught:
            await notifier.notify(event())
        assert (caught.value.kind, "202" in caught.value.fix) == ("malformed", True)
        says_nothing_secret(caught.value)

    @pytest.mark.parametrize("sign", ["x", '"', "\\", "é", "🟢", "\U0010fffd"])
    async def test_the_longest_message_is_well_below_what_is_taken(
        self, notifier: Notifier, system: Channel, sign: str
    ) -> None:
        await notifier.notify(event(text=sign * 5000, reason=sign * 5000))
        (request,) = system.teams.requests
        assert len(request.body) < LARGEST_BYTES / 2
        assert len(system.arrived()[0]) <= MAX_TEXT_CHARS

    def test_a_secret_at_the_cut_leaves_no_half_behind(self) -> None:
        learn("Zx81SpectrumTokenOfACut")
        for before in range(MAX_TEXT_CHARS - 30, MAX_TEXT_CHARS + 2):
            text = "x" * before + "Zx81SpectrumTokenOfACut" + "y" * 50
            assert "Zx81" not in str(message(event(text=text, reason="Zx81SpectrumTokenOfACut")))

    def test_a_webhook_written_out_is_refused(self, http: Http, tmp_path: Path) -> None:
        with pytest.raises(BackendError) as caught:
            made("teams", http, tmp_path, webhook=f"https://prod.example.com/{SECRET}")
        assert SECRET not in caught.value.message
