"""Data points of a few metrics of CloudWatch by one `GetMetricData`, for who knows which: no query language.

No data point is none, never 0. A period that has not ended has only a part of its data, and is not read.
API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from backends.aws.account import Account
from backends.aws.witness import Look
from backends.errors import BackendError
from backends.redaction import quoted

Points = list[tuple[float, float]]
"""Begin of a period in seconds since 1970, and its value; the newest is last."""


class Stat(Struct, frozen=True):
    """One metric with all its dimensions, and a statistic of it."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str

    def asked(self, name: str, period_s: int) -> dict[str, Any]:
        """As `GetMetricData` takes it, under `name`."""
        dimensions = [{"Name": key, "Value": value} for key, value in self.dimensions]
        metric = {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": metric, "Period": period_s, "Stat": self.statistic}}


METRIC_LOOK = Look(
    "cloudwatch", "get_metric_data",
    {
        "MetricDataQueries": [Stat("AWS/SQS", "NumberOfMessagesSent", (), "Sum").asked("teal", 60)],
        "StartTime": datetime.fromtimestamp(0, UTC), "EndTime": datetime.fromtimestamp(60, UTC),
    },
)  # fmt: skip
"""Whether any can be asked for: that right knows no resources."""


async def datapoints(
    account: Account, stats: Mapping[str, Stat], *, last_s: float, period_s: int = 60
) -> dict[str, Points]:
    """Of the last `last_s` seconds, for each name of `stats`. Raises BackendError."""
    end = time.time() // period_s * period_s
    start = end - max(last_s, period_s)
    found: dict[str, Points] = {name: [] for name in stats}
    results = await account.pages(
        "cloudwatch", "get_metric_data", "MetricDataResults",
        MetricDataQueries=[stat.asked(name, period_s) for name, stat in stats.items()],
        StartTime=datetime.fromtimestamp(start, UTC), EndTime=datetime.fromtimestamp(end, UTC),
    )  # fmt: skip
    refuse_unfit(results, f"{account.where}: CloudWatch")
    for result in results:
        points = zip(result["Timestamps"], result["Values"], strict=True)
        found[result["Id"]] += [(at.timestamp(), value) for at, value in points if start <= at.timestamp() < end]
    return {name: sorted(points) for name, points in found.items()}


def refuse_unfit(results: Sequence[dict[str, Any]], where: str) -> None:
    """Raises BackendError where one of the `MetricDataResults` of all pages says that it is no data, or where the last
    one of a metric is still a part of them."""
    last: dict[str, str] = {}
    for result in results:
        status = last[result["Id"]] = result.get("StatusCode", "Complete")
        if status not in ("Complete", "PartialData"):
            said = "; ".join(str(message.get("Value", "")) for message in result.get("Messages", ()))
            words = quoted(": ".join(filter(None, (status, said))))
            raise BackendError("auth" if status == "Forbidden" else "unreachable", f"{where}: {words}")
    if "PartialData" in last.values():
        raise BackendError("unreachable", f"{where}: only a part of the data came", fix="try again")
