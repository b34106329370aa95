"""The way of each request of the shared client: straight, or by the proxy for its address. Loads httpx."""

import ssl
from collections.abc import Callable

import httpx

from backends.errors import BackendError
from backends.tls import NamedTls


class _Bracketed(httpx.URL):
    """An IPv6 address for a proxy, to which httpcore (1.0) would name it without its brackets."""

    @property
    def raw_host(self) -> bytes:
        return b"[%b]" % super().raw_host


class Routes(httpx.AsyncBaseTransport):
    """One pool of connections for each proxy, and one for none. `route` gives the proxy for a URL, `named` is where
    it is written."""

    def __init__(self, tls: ssl.SSLContext, route: Callable[[str], str | None], named: str) -> None:
        self._tls = tls
        self._route = route
        self._named = named
        self._pools: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpx does, and BackendError(config) for a proxy that cannot be used."""
        proxy = self._route(str(request.url))
        if proxy is not None and proxy.startswith("http") and ":" in request.url.host and self._knows_brackets(request):
            request.url = _Bracketed(request.url)
        return await self._pool(proxy).handle_async_request(request)

    def _knows_brackets(self, request: httpx.Request) -> bool:
        return request.url.scheme == "http" or isinstance(self._tls, NamedTls)

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    def _pool(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        if proxy not in self._pools:
            try:
                self._pools[proxy] = httpx.AsyncHTTPTransport(verify=self._tls, proxy=proxy)
            except ImportError:
                words = f"{self._named}: a SOCKS proxy needs the Python module socksio"
                raise BackendError("config", words, fix="install httpx[socks]") from None
        return self._pools[proxy]
