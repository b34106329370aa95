"""Which proxy a request goes by: one answer for every client, as curl and Go read the environment.

`http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in small letters first. `no_proxy` lists `*`, names (with their
subdomains, with or without a dot in front), addresses, ranges (`10.0.0.0/8`, `fd00::/8`), each with or without a port,
IPv6 with or without brackets. This host (localhost, 127.0.0.1, ::1) is never asked by a proxy of the environment.
Sources: https://curl.se/docs/manpage.html#NOPROXY, https://pkg.go.dev/golang.org/x/net/http/httpproxy
"""

import ipaddress
import os
import re
from urllib.parse import urlsplit

from backends.errors import BackendError
from backends.redaction import learn, redact_url

_FIX = "write it like http://proxy:3128, https://… or socks5://…"
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_SCHEME = {"ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}
_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(url: str) -> str | None:
    """The proxy of the environment for `url` (also `ws://…`), None for none. Raises BackendError(config)."""
    parts = urlsplit(url)
    scheme = _SCHEME.get(parts.scheme, parts.scheme)
    host = (parts.hostname or "").rstrip(".").casefold()
    value, name = _from_environment(scheme)
    proxy = checked_proxy(value, name) if value else None
    return None if host in _HERE or _is_exempt(host, parts.port or _PORTS.get(scheme)) else proxy


def has_proxy() -> bool:
    """Whether the environment names one."""
    return any(_from_environment(scheme)[0] for scheme in _PORTS)


def checked_proxy(value: str, named: str) -> str:
    """`value` as the URL of a proxy; `named` is where it is written. Raises BackendError(config)."""
    url = value.strip() if "://" in value else f"http://{value.strip()}"
    learn(url)
    try:
        parts = urlsplit(url)
        fits = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise BackendError("config", f"{named}: {redact_url(url)} is no proxy that is known here", fix=_FIX)
    # Names are resolved by a SOCKS proxy anyway, and only the newer versions of httpx know how to say so.
    return f"socks5{url[7:]}" if parts.scheme == "socks5h" else url


def _from_environment(scheme: str) -> tuple[str, str]:
    """A proxy as it is written, and the name of its variable; both empty for none."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        known = next((spelled for spelled in (name, name.upper()) if spelled in os.environ), None)
        if known is not None and os.environ[known].strip():
            return os.environ[known], known
    return "", ""


def _is_exempt(host: str, port: int | None) -> bool:
    listed = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    address = _address(host)
    return any(_covers(entry, host, address, port) for entry in re.split(r"[,\s]+", listed.casefold()) if entry)


def _covers(entry: str, host: str, address: Address | None, port: int | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            network = ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            return False
        return address is not None and address in network
    name, its_port = _split(entry)
    if its_port and its_port != str(port):
        return False
    if (exempt := _address(name)) is not None:
        return address == exempt
    name = name.removeprefix("*").strip(".")
    return bool(name) and address is None and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, str]:
    """Name or address, and port; empty for none."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
