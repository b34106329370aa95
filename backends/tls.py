"""TLS to a server that is called otherwise than its certificate says."""

import ssl


class NamedTls(ssl.SSLContext):
    """Asks for, and checks, another name than that of the URL where `name` is set; of an address without brackets."""

    name: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        host = server_hostname.strip("[]") if isinstance(server_hostname, str) else server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, self.name or host, session)
