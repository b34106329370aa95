"""A minimal SMTP server on loopback: EHLO, STARTTLS, AUTH PLAIN and LOGIN, one mail after another, and its faults."""

import asyncio
import base64
import contextlib
import email
import email.policy
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class SmtpServer:
    """`fault`: `hang`, `close`, `reject` (the sender), `refuse` (the first recipient), or empty.

    `tls` offers STARTTLS; `implicit`: it is spoken from the first byte on.
    """

    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    fault: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: bool = False
    implicit: bool = False
    port: int = 0

    async def __aenter__(self) -> "SmtpServer":
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls if self.implicit else None)
        self.encrypted = self.implicit
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the port and every connection; safe to call twice."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "close":
            return
        writer.write(b"220 loopback ESMTP\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb = line.partition(" ")[0].upper()
            if verb == "STARTTLS" and self.tls is not None:
                writer.write(b"220 go ahead\r\n")
                await writer.drain()
                await writer.start_tls(self.tls)
                self.encrypted = True
                continue
            if verb == "DATA":
                writer.write(b"354 end with a dot\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                found = email.message_from_bytes(text[:-3], policy=email.policy.default)
                assert isinstance(found, EmailMessage)
                self.mails.append(found)
            writer.write(self._answer(verb, line))
            await writer.drain()
            if verb == "QUIT":
                return

    def _answer(self, verb: str, line: str) -> bytes:
        if verb == "EHLO":
            offers = ["loopback"]
            offers += ["STARTTLS"] if self.tls is not None and not self.encrypted else []
            offers += ["AUTH PLAIN"] if self.login is not None else []
            return "".join(f"250-{offer}\r\n" for offer in offers).encode() + b"250 8BITMIME\r\n"
        if verb == "AUTH":
            given = base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]
            good = self.login is not None and given == list(self.login)
            return b"235 welcome\r\n" if good else f"535 no: {' '.join(given)}\r\n".encode()
        if verb == "MAIL" and self.fault == "reject":
            return b"451 not now\r\n"
        if verb == "RCPT":
            if self.fault == "refuse" and not self.recipients:
                self.recipients.append("")
                return b"550 no such mailbox\r\n"
            self.recipients.append(line.partition("<")[2].partition(">")[0])
        return b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n"
