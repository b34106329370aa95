"""Mail against a real SMTP server on loopback, in clear and with STARTTLS."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.notify import email
from backends.ports import Notifier
from backends.registry import AdapterContext, build
from backends.testing.notify import SECRET, NotifierContract, event, says_nothing_secret
from tests.backends.smtp_server import SmtpServer
from tests.tls import Authority

LOGIN = ("teal", SECRET)


class Mailbox:
    def __init__(self, server: SmtpServer) -> None:
        self.server = server

    def arrived(self) -> list[str]:
        return [mail.get_content().splitlines()[0] for mail in self.server.mails]

    def fail(self, how: str) -> None:
        self.server.fault = {"refuse": "reject"}.get(how, how)

    async def stop(self) -> None:
        await self.server.stop()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmtpServer]:
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    async with SmtpServer(login=LOGIN) as server:
        yield server


def made(server: SmtpServer, base_dir: Path, **config: Any) -> Notifier:
    given = {
        "host": "127.0.0.1", "port": server.port, "starttls": False, "user": "teal",
        "password": {"env": "SMTP_PASSWORD"}, "from": "teal@example.com", "to": ["a@example.com", "b@example.com"],
        "timeout": "30s", **config,
    }  # fmt: skip
    found: Notifier = build("notify", "email", given, AdapterContext("mine", base_dir, base_dir, Http()))
    return found


@pytest.fixture
async def notifier(server: SmtpServer, tmp_path: Path) -> AsyncIterator[Notifier]:
    notifier = made(server, tmp_path)
    yield notifier
    await notifier.aclose()


class TestEmail(NotifierContract):
    @pytest.fixture
    def system(self, server: SmtpServer) -> Mailbox:
        return Mailbox(server)

    @pytest.fixture
    async def hasty(self, server: SmtpServer, tmp_path: Path) -> AsyncIterator[Notifier]:
        notifier = made(server, tmp_path, timeout="500ms")
        yield notifier
        await notifier.aclose()


async def test_what_a_mail_says(notifier: Notifier, server: SmtpServer) -> None:
    await notifier.notify(event())
    (mail,) = server.mails
    assert server.recipients == ["a@example.com", "b@example.com"]
    assert (mail["From"], mail["To"]) == ("teal@example.com", "a@example.com, b@example.com")
    assert mail["Subject"] == "production: flip analytics blue → green failed"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "reason: release 2.4" in mail.get_content().splitlines()


async def test_a_line_break_makes_no_header(notifier: Notifier, server: SmtpServer) -> None:
    await notifier.notify(event(text="x\r\nBcc: evil@example.com", reason="y\r\n.\r\nMAIL FROM:<evil@example.com>"))
    (mail,) = server.mails
    assert (mail["Bcc"], len(server.recipients)) == (None, 2)


async def test_starttls_with_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.certificate(days=30))
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    async with SmtpServer(tls=tls, login=LOGIN) as server:
        notifier = made(server, tmp_path, starttls=True)
        await notifier.notify(event())
        await notifier.aclose()
        assert (server.encrypted, len(server.mails)) == (True, 1)


async def test_starttls_with_a_strange_certificate_sends_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.certificate(days=30))
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    async with SmtpServer(tls=tls, login=LOGIN) as server:
        notifier = made(server, tmp_path, starttls=True)
        with pytest.raises(BackendError, match="certificate not trusted"):
            await notifier.notify(event())
        await notifier.aclose()
        assert server.mails == []


async def test_a_server_without_starttls_is_not_written_to(server: SmtpServer, tmp_path: Path) -> None:
    notifier = made(server, tmp_path, starttls=True)
    with pytest.raises(BackendError, match="does not offer STARTTLS") as caught:
        await notifier.notify(event())
    await notifier.aclose()
    assert (caught.value.kind, server.mails) == ("config", [])


async def test_a_wrong_password_is_not_repeated(
    notifier: Notifier, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", f"{SECRET}-old")
    with pytest.raises(BackendError) as caught:
        await notifier.notify(event())
    assert caught.value.kind == "auth"
    says_nothing_secret(caught.value)


async def test_who_is_not_taken_is_named_and_the_others_get_it(notifier: Notifier, server: SmtpServer) -> None:
    server.fault = "refuse"
    with pytest.raises(BackendError, match=r"no mail is taken for a@example\.com") as caught:
        await notifier.notify(event())
    assert (caught.value.kind, len(server.mails)) == ("not_found", 1)


@pytest.mark.parametrize(
    "config",
    [{"host": "smtp.example.com"}, {"user": ""}, {"password": None}, {"to": []}, {"to": ["x"]}, {"from": "a@b\nc"}],
)
async def test_what_is_refused(server: SmtpServer, tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        made(server, tmp_path, **config)
    assert caught.value.kind == "config"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate(days=30))
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    return context


@pytest.mark.parametrize("by", ["port", "tls"])
async def test_tls_from_the_start(
    tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    async with SmtpServer(tls=tls, login=LOGIN, implicit=True) as server:
        if by == "port":
            monkeypatch.setattr(email, "IMPLICIT_PORT", server.port)
        told = {} if by == "port" else {"tls": "implicit"}
        notifier = made(server, tmp_path, starttls=True, **told)
        await notifier.notify(event())
        await notifier.aclose()
        assert (server.encrypted, len(server.mails)) == (True, 1)


async def test_who_says_nothing_may_speak_tls_from_the_start(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with SmtpServer(tls=tls, login=LOGIN, implicit=True) as server:
        notifier = made(server, tmp_path, starttls=True, timeout="2s")
        with pytest.raises(BackendError, match="no greeting in") as caught:
            await notifier.notify(event())
        await notifier.aclose()
    assert caught.value.kind == "timeout"
    assert '465: tls = "implicit"' in caught.value.fix


async def test_who_speaks_no_tls_from_the_start_is_named(server: SmtpServer, tmp_path: Path) -> None:
    notifier = made(server, tmp_path, starttls=True, tls="implicit")
    with pytest.raises(BackendError, match="does not speak TLS from the start") as caught:
        await notifier.notify(event())
    await notifier.aclose()
    assert (caught.value.kind, '587: tls = "starttls"' in caught.value.fix) == ("config", True)


async def test_a_mail_that_is_not_taken_now_may_be_told_again(notifier: Notifier, server: SmtpServer) -> None:
    server.fault = "reject"
    with pytest.raises(BackendError, match="SMTP 451") as caught:
        await notifier.notify(event())
    assert caught.value.retry_after_s == email.RETRY_S


async def test_a_domain_of_other_letters_goes_as_dns_has_it(server: SmtpServer, tmp_path: Path) -> None:
    to = ["a@b\u00fccher.example", "On Call <b@stra\u00dfe.example>"]
    notifier = made(server, tmp_path, **{"from": "teal@b\u00fccher.example", "to": to})
    await notifier.notify(event())
    await notifier.aclose()
    assert server.recipients == ["a@xn--bcher-kva.example", "b@xn--strae-oqa.example"]
    assert server.mails[0]["From"] == "teal@xn--bcher-kva.example"
