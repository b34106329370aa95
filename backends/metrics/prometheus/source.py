"""How an entry of another port says which Prometheus it reads: by the name of a metrics entry, or by itself.

```toml
metrics = "prom"                    # the metrics entry of that name, with its credentials
url = "http://prometheus:9090"      # or here, with auth, tenant, headers, params, timeout as a metrics entry has them
```
"""

from backends.errors import BackendError
from backends.metrics.prometheus.api import Access, refuse_bad_server
from backends.metrics.prometheus.metrics import PrometheusConfig, PrometheusMetrics
from backends.ports import Metrics
from backends.registry import AdapterContext
from backends.settings import Secret


class Source(Access, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `metrics`, or `url` and how that server is entered.

    metrics: the metrics entry of that name, with its credentials.
    url: the server itself, instead of `metrics`.
    """

    metrics: str = ""
    url: str | Secret | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.metrics) == (self.url is not None):
            raise ValueError('metrics, url: one of them: the name of a metrics entry, e.g. metrics = "prom", or a url')
        if self.url is not None:
            refuse_bad_server(self.url)
        elif (self.headers, self.auth, self.tenant, self.params) != ({}, None, "", {}):
            raise ValueError("headers, auth, tenant, params: they belong to the metrics entry")


class SourceMetrics:
    """The `Metrics` of a `Source`, got when first needed; closes what it built itself."""

    def __init__(self, source: Source, context: AdapterContext) -> None:
        self._name = source.metrics
        self._hand_out = context.metrics
        self._own: PrometheusMetrics | None = None
        if source.url is not None:
            own = PrometheusConfig(
                url=source.url, headers=source.headers, auth=source.auth,
                tenant=source.tenant, params=source.params, timeout=source.timeout,
            )  # fmt: skip
            self._own = PrometheusMetrics(own, context)

    def get(self) -> Metrics:
        """Raises BackendError where the named entry is not there or broken."""
        return self._own or self._hand_out(self._name)

    def prometheus(self) -> PrometheusMetrics:
        """The same, where more than queries is asked of it. Raises BackendError(config) for another system."""
        found = self.get()
        if not isinstance(found, PrometheusMetrics):
            raise BackendError(
                "config", f"metrics.{self._name} is no Prometheus", fix='name one of type = "prometheus"'
            )
        return found

    async def aclose(self) -> None:
        """Safe to call twice."""
        if self._own is not None:
            await self._own.aclose()
