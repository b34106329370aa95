"""Results of Glue Data Quality, which moto lacks. Put before moto, or before nothing."""

from datetime import timedelta
from typing import Any

from tests.fake_aws import FakeAws


class FakeDataQuality:
    """Results, as Glue keeps them, in the order in which they were made."""

    def __init__(self, aws: FakeAws) -> None:
        self.results: list[dict[str, Any]] = []
        aws.answers["glue.ListDataQualityResults"] = self.listed
        aws.answers["glue.BatchGetDataQualityResult"] = self.got

    def put(
        self, score: float | None, at: Any, table: tuple[str, str] | None = ("lake", "orders"), **more: Any
    ) -> None:
        named = {"DataSource": {"GlueTable": {"DatabaseName": table[0], "TableName": table[1]}}} if table else {}
        result = {
            "ResultId": f"dqresult-{len(self.results)}",
            "StartedOn": at - timedelta(seconds=1),
            "CompletedOn": at,
        }
        self.results.append({**result, **({"Score": score} if score is not None else {}), **named, **more})

    def listed(self, asked: dict[str, Any]) -> dict[str, Any]:
        after = asked["Filter"]["StartedAfter"]
        wanted = [each for each in self.results if each["StartedOn"].timestamp() >= float(after)]
        begin = int(asked.get("NextToken", 0))
        page = [{"ResultId": each["ResultId"]} for each in wanted[begin : begin + 7]]
        return {"Results": page, **({"NextToken": str(begin + 7)} if begin + 7 < len(wanted) else {})}

    def got(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert len(asked["ResultIds"]) <= 100
        return {"Results": [each for each in self.results if each["ResultId"] in asked["ResultIds"]]}
