"""Mail over SMTP.

```toml
type = "email"
host = "smtp.example.com"
user = "teal"
password = { env = "SMTP_PASSWORD" }
from = "teal@example.com"
to = ["oncall@example.com"]
port = 587               # by default, with STARTTLS; on 465 it is TLS from the start, or with `tls = "implicit"`
```
"""

import asyncio
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from backends.credentials import plain_host
from backends.errors import BackendError
from backends.http import connection_words
from backends.notify.posting import POST_TIMEOUT_S
from backends.ports import ActionEvent
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.text import clean
from backends.threads import DaemonThreads

REFUSED = 400  # from here on an SMTP reply is no

if TYPE_CHECKING:
    import smtplib
    from collections.abc import Callable

    _Refused = dict[str, tuple[int, bytes]]
    _Do = Callable[[smtplib.SMTP], _Refused]
    from email.message import EmailMessage

IMPLICIT_PORT = 465
RETRY_S = 2.0  # after a 4xx answer: it is not taken now
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FIX_IMPLICIT = 'where the server speaks TLS from the start, as on port 465: tls = "implicit"'
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_FIX_STARTTLS = 'where the server speaks STARTTLS, as on port 587: tls = "starttls"'


class EmailConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`user` and `password` come together, and cross a network only in TLS.

    host: the mail server.
    from: the sender.
    to: the receivers: one mail to all at once.
    port: 587, or 465 for TLS from the first byte.
    starttls: false: without TLS; then no password leaves this host.
    tls: `starttls`, or `implicit` (from the first byte, RFC 8314), as is usual on port 465.
    user: with `password`.
    password: of that user.
    timeout: of one mail.
    """

    host: str
    from_: str = field(name="from")
    to: tuple[str, ...]
    port: int = 587
    starttls: bool = True
    tls: Literal["starttls", "implicit"] | None = None
    user: str = ""
    password: Secret | None = None
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password come together")
        host = plain_host("host", self.host)
        if not self.starttls and self.tls == "starttls":
            raise ValueError('tls = "starttls" and starttls = false: one of them')
        if self.password is not None and self.way == "" and host not in _LOOPBACK:
            raise ValueError("starttls: without it the password crosses the network for everybody to read")
        if not self.to:
            raise ValueError("to: nobody")
        if any(not address.isprintable() or "@" not in address for address in (self.from_, *self.to)):
            raise ValueError("from, to: not an address")
        for address in (self.from_, *self.to):
            ascii_domain(address)

    @property
    def way(self) -> Literal["", "starttls", "implicit"]:
        """How the connection is encrypted; empty for not at all."""
        return self.tls or ("implicit" if self.port == IMPLICIT_PORT else "starttls" if self.starttls else "")


class EmailNotifier:
    """One mail for each event, to all at once."""

    api = 1
    Config = EmailConfig

    def __init__(self, config: EmailConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context
        self._label = f"notify.{context.name}"
        self._threads = DaemonThreads(1, self._label)

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError; not_found where the server takes no mail for one of those in `to`."""
        await self._at_the_server(lambda server: server.send_message(_mail(event, self._config)))

    async def dry_run(self) -> None:
        """The same up to the mail itself: connected, logged in, sender and receivers taken, and then left."""
        await self._at_the_server(self._offered)

    async def _at_the_server(self, do: "_Do") -> None:
        secret = self._config.password
        password = await secret.resolve(self._context.base_dir) if secret is not None else ""
        try:
            async with asyncio.timeout(self._config.timeout):
                await asyncio.wrap_future(self._threads.submit(lambda: self._talk(do, password)))
        except TimeoutError:
            words = f"{self._label}: no answer in {float(self._config.timeout):.3g} s"
            raise BackendError("timeout", words) from None

    async def aclose(self) -> None:
        """A mail that is under way is not waited for."""
        self._threads.close()

    def _offered(self, server: "smtplib.SMTP") -> "_Refused":
        from email.utils import parseaddr
        from smtplib import SMTPSenderRefused

        server.ehlo_or_helo_if_needed()
        code, said = server.mail(parseaddr(self._config.from_)[1])
        if code >= REFUSED:
            raise SMTPSenderRefused(code, said, self._config.from_)
        answers = {to: server.rcpt(parseaddr(to)[1]) for to in self._config.to}
        server.rset()
        return {to: answer for to, answer in answers.items() if answer[0] >= REFUSED}

    def _talk(self, do: "_Do", password: str) -> None:
        import smtplib
        import socket
        import ssl

        config, label = self._config, self._label
        # Less than the whole, or nobody would hear that there was no greeting.
        timeout, greeted = float(config.timeout) * 0.9, False
        # What a server answers is not repeated: it may quote what was sent, and that may be the password.
        try:
            # By default smtplib asks DNS for this host's own name, which can take longer than the mail.
            own_name, host = socket.gethostname(), plain_host("host", config.host)
            tls = ssl.create_default_context() if config.way else None
            if config.way == "implicit":
                opened: smtplib.SMTP = smtplib.SMTP_SSL(
                    host, config.port, local_hostname=own_name, timeout=timeout, context=tls
                )
            else:
                opened = smtplib.SMTP(host, config.port, local_hostname=own_name, timeout=timeout)
            greeted = True
            with opened as server:
                if config.way == "starttls":
                    server.starttls(context=tls)
                if config.user:
                    server.login(config.user, password)
                refused = do(server)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPAuthenticationError as error:
            raise BackendError("auth", f"{label}: SMTP {error.smtp_code}: user or password refused") from None
        except smtplib.SMTPNotSupportedError:
            wanted = "STARTTLS, a login or an address that is not ASCII"
            raise BackendError("config", f"{label}: the server does not offer {wanted}") from None
        except smtplib.SMTPResponseException as error:
            later = RETRY_S if 400 <= error.smtp_code < 500 else None
            raise BackendError("unreachable", f"{label}: SMTP {error.smtp_code}", retry_after_s=later) from None
        except (TimeoutError, smtplib.SMTPException) as error:
            if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
                words = f"{label}: no {'answer' if greeted else 'greeting'} in {timeout:.3g} s"
                silent = not greeted and config.way != "implicit"
                raise BackendError("timeout", words, fix=_FIX_IMPLICIT if silent else "") from None
            raise BackendError("unreachable", f"{label}: connection lost before the mail was taken") from None
        except ssl.SSLError as error:
            plain = config.way == "implicit" and error.reason in _NO_TLS
            words = "it does not speak TLS from the start" if plain else connection_words(error)
            fix = _FIX_STARTTLS if plain else ""
            raise BackendError("config" if plain else "unreachable", f"{label}: {words}", fix=fix) from None
        except (OSError, UnicodeError) as error:
            raise BackendError("unreachable", f"{label}: {connection_words(error)}") from None
        if refused:
            who = clean(", ".join(sorted(refused)), 200)
            raise BackendError("not_found", f"{label}: no mail is taken for {who}")


def ascii_domain(address: str) -> str:
    """`address`, its domain as DNS has it (`bücher.example`: `xn--bcher-kva.example`). Raises ValueError."""
    before, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    import idna

    try:
        return f"{before}@{idna.encode(domain.rstrip('>'), uts46=True).decode()}{'>' if domain.endswith('>') else ''}"
    except idna.IDNAError:
        raise ValueError(f"from, to: {clean(domain, 100)} is no name of a host") from None


def _mail(event: ActionEvent, config: EmailConfig) -> "EmailMessage":
    from email.message import EmailMessage
    from email.utils import format_datetime, make_msgid

    mail = EmailMessage()
    sender = ascii_domain(config.from_)
    mail["From"] = sender
    mail["To"] = ", ".join(map(ascii_domain, config.to))
    mail["Subject"] = clean(event.text, 200)
    mail["Date"] = format_datetime(event.at)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">"))
    mail["Auto-Submitted"] = "auto-generated"
    told = {
        "context": event.context, "service": event.service, "action": f"{event.action} ({event.kind})".strip(),
        "by": event.by, "reason": event.reason, "at": event.at.isoformat(),
    }  # fmt: skip
    lines = [event.text, "", *(f"{name}: {clean(value)}" for name, value in told.items() if value)]
    mail.set_content("\n".join(lines) + "\n")
    return mail
