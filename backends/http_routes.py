"""The way of each request of the shared client: straight, or by the proxy for its address. Loads httpx."""

import asyncio
import ssl
from collections.abc import Callable

import httpx

from backends.errors import BackendError
from backends.tls import NamedTls, trusted, untrusting


class _Bracketed(httpx.URL):
    """An IPv6 address for a proxy, to which httpcore (1.0) would name it without its brackets."""

    @property
    def raw_host(self) -> bytes:
        return b"[%b]" % super().raw_host


class Routes(httpx.AsyncBaseTransport):
    """One pool of connections for each proxy, and one for none: those with TLS apart. `route` gives the proxy for a
    URL, `named` is where it is written. `verify` as `backends.tls.trusted` takes it, which is asked once, beside the
    event loop, where a connection needs it."""

    def __init__(self, verify: str | bool | ssl.SSLContext, route: Callable[[str], str | None], named: str) -> None:
        self._verify = verify
        self._tls: ssl.SSLContext | None = None
        self._route = route
        self._named = named
        self._pools: dict[tuple[str | None, bool], httpx.AsyncHTTPTransport] = {}
        self._opening = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpx does, and BackendError(config) for a proxy or a CA bundle that cannot be used."""
        proxy = self._route(str(request.url))
        pool = await self._pool(proxy, request.url.scheme == "https" or (proxy or "").startswith("https"))
        if proxy is not None and proxy.startswith("http") and ":" in request.url.host and self._knows_brackets(request):
            request.url = _Bracketed(request.url)
        return await pool.handle_async_request(request)

    def _knows_brackets(self, request: httpx.Request) -> bool:
        return request.url.scheme == "http" or isinstance(self._tls, NamedTls)

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    async def _pool(self, proxy: str | None, secure: bool) -> httpx.AsyncHTTPTransport:
        async with self._opening:
            if (proxy, secure) not in self._pools:
                tls = await self._trusted() if secure else untrusting()
                self._pools[proxy, secure] = self._new_pool(proxy, tls)
            return self._pools[proxy, secure]

    async def _trusted(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(trusted, self._verify)
        return self._tls

    def _new_pool(self, proxy: str | None, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
        try:
            return httpx.AsyncHTTPTransport(verify=tls, proxy=proxy)
        except ImportError:
            words = f"{self._named}: a SOCKS proxy needs the Python module socksio"
            raise BackendError("config", words, fix="install httpx[socks]") from None
