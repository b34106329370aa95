"""Mail over SMTP.

```toml
type = "email"
host = "smtp.example.com"
user = "teal"
password = { env = "SMTP_PASSWORD" }
from = "teal@example.com"
to = ["oncall@example.com"]
```
"""

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct, field

from backends.errors import BackendError
from backends.http import connection_words
from backends.notify.posting import POST_TIMEOUT_S
from backends.ports import ActionEvent
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.text import clean
from backends.threads import DaemonThreads

if TYPE_CHECKING:
    from email.message import EmailMessage

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class EmailConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`user` and `password` come together, and cross a network only after STARTTLS."""

    host: str
    from_: str = field(name="from")
    to: tuple[str, ...]
    port: int = 587
    starttls: bool = True
    user: str = ""
    password: Secret | None = None
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password come together")
        if self.password is not None and not self.starttls and self.host not in _LOOPBACK:
            raise ValueError("starttls: without it the password crosses the network for everybody to read")
        if not self.to:
            raise ValueError("to: nobody")
        if any(not address.isprintable() or "@" not in address for address in (self.from_, *self.to)):
            raise ValueError("from, to: not an address")


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
        secret = self._config.password
        password = await secret.resolve(self._context.base_dir) if secret is not None else ""
        try:
            async with asyncio.timeout(self._config.timeout):
                await asyncio.wrap_future(self._threads.submit(lambda: self._send(event, password)))
        except TimeoutError:
            words = f"{self._label}: no answer in {float(self._config.timeout):.3g} s"
            raise BackendError("timeout", words) from None

    async def aclose(self) -> None:
        """A mail that is under way is not waited for."""
        self._threads.close()

    def _send(self, event: ActionEvent, password: str) -> None:
        import smtplib
        import socket
        import ssl

        config, label = self._config, self._label
        # What a server answers is not repeated: it may quote what was sent, and that may be the password.
        try:
            # By default smtplib asks DNS for this host's own name, which can take longer than the mail.
            own_name, timeout = socket.gethostname(), float(config.timeout)
            with smtplib.SMTP(config.host, config.port, local_hostname=own_name, timeout=timeout) as server:
                if config.starttls:
                    server.starttls(context=ssl.create_default_context())
                if config.user:
                    server.login(config.user, password)
                refused = server.send_message(_mail(event, config))
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPAuthenticationError as error:
            raise BackendError("auth", f"{label}: SMTP {error.smtp_code}: user or password refused") from None
        except smtplib.SMTPNotSupportedError:
            wanted = "STARTTLS, a login or an address that is not ASCII"
            raise BackendError("config", f"{label}: the server does not offer {wanted}") from None
        except smtplib.SMTPResponseException as error:
            raise BackendError("unreachable", f"{label}: SMTP {error.smtp_code}") from None
        except smtplib.SMTPException:
            raise BackendError("unreachable", f"{label}: connection lost before the mail was taken") from None
        except TimeoutError:
            raise BackendError("timeout", f"{label}: no answer in {timeout:.3g} s") from None
        except (OSError, UnicodeError) as error:
            raise BackendError("unreachable", f"{label}: {connection_words(error)}") from None
        if refused:
            who = clean(", ".join(sorted(refused)), 200)
            raise BackendError("not_found", f"{label}: no mail is taken for {who}")


def _mail(event: ActionEvent, config: EmailConfig) -> "EmailMessage":
    from email.message import EmailMessage
    from email.utils import format_datetime, make_msgid

    mail = EmailMessage()
    mail["From"] = config.from_
    mail["To"] = ", ".join(config.to)
    mail["Subject"] = clean(event.text, 200)
    mail["Date"] = format_datetime(event.at)
    mail["Message-ID"] = make_msgid(domain=config.from_.rpartition("@")[2].rstrip(">"))
    mail["Auto-Submitted"] = "auto-generated"
    told = {
        "context": event.context, "service": event.service, "action": f"{event.action} ({event.kind})",
        "by": event.by, "reason": event.reason, "at": event.at.isoformat(),
    }  # fmt: skip
    lines = [event.text, "", *(f"{name}: {clean(value)}" for name, value in told.items() if value)]
    mail.set_content("\n".join(lines) + "\n")
    return mail
