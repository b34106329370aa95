"""How Grafana is entered: by a service account's token, in one organization.

API: https://grafana.com/docs/grafana/latest/developers/http_api/
"""

from datetime import datetime

from msgspec import Struct, field

from backends.credentials import Authentication, refuse_bad_url, refuse_literal_secrets
from backends.entered import EnteredHttp
from backends.registry import AdapterContext
from backends.settings import Duration, Secret

OURS = "tealdeck"
"""A tag of each annotation that is made from here."""
ORG_HEADER = "X-Grafana-Org-Id"


def epoch_ms(at: datetime) -> int:
    """As Grafana counts time."""
    return round(at.timestamp() * 1000)


class GrafanaAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Grafana.

    url: where it is, with its path where it is served below one.
    token: of a service account; without one, what anybody may do.
    org_id: the organization; by default the token's.
    headers: sent with every request; a value may be a reference.
    timeout: of one request.
    """

    url: str
    token: Secret | None = None
    org_id: int | None = None
    headers: dict[str, str | Secret] = field(default_factory=dict)
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if self.org_id is not None and self.org_id < 1:
            raise ValueError("org_id: 1 or more")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")

    @property
    def base(self) -> str:
        """The URL without a slash at its end."""
        return self.url.rstrip("/")

    def entered(self, context: AdapterContext) -> EnteredHttp:
        """The way in."""
        organization = {} if self.org_id is None else {ORG_HEADER: str(self.org_id)}
        auth = None if self.token is None else Authentication(token=self.token)
        return EnteredHttp(context.http, {**self.headers, **organization}, auth, context.base_dir, self.timeout)
