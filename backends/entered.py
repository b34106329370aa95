"""One entry's way into an HTTP system: the shared client with the credentials of its config."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from backends.credentials import Authentication, Keyring, credentials
from backends.http import Answer, Http
from backends.paths import path_of
from backends.settings import Secret


def trusting(ca_file: str, base_dir: Path) -> Http | None:
    """A client of one's own that trusts the certificates in `ca_file`; None where that is empty: the shared one does.
    Raises BackendError(config) for what is no path."""
    return Http(verify=str(path_of(ca_file, base_dir))) if ca_file else None


class EnteredHttp:
    """`timeout_s`: for one answer, with the attempts of a GET."""

    def __init__(
        self,
        http: Http,
        headers: Mapping[str, str | Secret],
        auth: Authentication | None,
        base_dir: Path,
        timeout_s: float,
    ) -> None:
        self._http = http
        self._keys = Keyring(lambda: credentials(headers, auth, base_dir))
        self._timeout_s = timeout_s

    async def request(self, method: str, url: str, **request: Any) -> Answer:
        """Raises BackendError for a status of 300 and above; only a GET is repeated where that may help."""
        send = self._http.get if method == "GET" else partial(self._http.request, method)
        return await self._keys.entered(
            lambda known: send(url, headers=known.headers, auth=known.auth, timeout=self._timeout_s, **request)
        )
