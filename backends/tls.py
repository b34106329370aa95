"""What a connection trusts, also to a server that is called otherwise than its certificate says."""

import ssl
from functools import cache

from backends.errors import BackendError


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


def trusted(verify: str | bool | ssl.SSLContext) -> ssl.SSLContext:
    """`verify`: the path of a CA bundle, a context, or whether anything is checked. Reading the CA bundle takes 20 to
    60 ms. Raises BackendError(config)."""
    import httpx

    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        return (
            ssl.create_default_context(cafile=verify) if isinstance(verify, str) else httpx.create_ssl_context(verify)
        )
    except OSError as error:
        raise BackendError("config", f"CA bundle {verify}: {error.strerror or error}") from None


@cache
def untrusting() -> ssl.SSLContext:
    """Of connections without TLS, for which nothing is read."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
