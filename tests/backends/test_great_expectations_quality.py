"""`great-expectations` quality: the contract on a store made for it, and what real versions of GX wrote."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import backends.quality.great_expectations.quality as module
from backends.errors import BackendError
from backends.http import Http
from backends.models import FailedExpectation, QualityScore
from backends.quality.great_expectations.quality import GreatExpectationsQuality
from backends.quality.great_expectations.results import read_validation
from backends.registry import AdapterContext, build
from backends.testing.quality import MINUTE, Evaluate, Evaluation, Lose, QualityContract, now
from tests.backends.dbt_files import write
from tests.backends.unreadable import shut
from tests.live.moto import KEYS, REGION, MotoServer, moto

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gx"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir())
ALWAYS = {"window": "36500d"}


def gx_in(directory: Path, **config: Any) -> GreatExpectationsQuality:
    config = {"path": "validations", **config}
    context = AdapterContext("gx", directory, directory / "state", Http())
    adapter: GreatExpectationsQuality = build("quality", "great-expectations", config, context)
    return adapter


def expectation(name: str, success: bool, severity: str = "critical", **result: Any) -> Any:
    return {
        "success": success,
        "expectation_config": {"type": name, "kwargs": {"batch_id": "b"}, "severity": severity},
        "result": result,
        "exception_info": {"raised_exception": False},
    }


def write_result(
    directory: Path, dataset: str, at: datetime, results: list[Any], *, suite: str = "suite", batch: str = "",
    run_name: str = "__none__", percent: Any = None, source: str | None = None,
) -> Path:  # fmt: skip
    """One result where GX would put it."""
    met = sum(result["success"] for result in results)
    path = directory / "validations" / suite.replace(".", "/") / run_name / f"{at:%Y%m%dT%H%M%S.%fZ}"
    path /= f"{batch or 'shop-' + ''.join(filter(str.isalnum, dataset))[:50]}.json"
    write(
        path,
        {
            "success": met == len(results),
            "suite_name": suite,
            "results": results,
            "statistics": {
                "evaluated_expectations": len(results),
                "successful_expectations": met,
                "success_percent": (100 * met / len(results) if results else None) if percent is None else percent,
            },
            "meta": {
                "run_id": {"run_name": None, "run_time": at.isoformat()},
                "active_batch_definition": {"data_asset_name": dataset, "datasource_name": source},
            },
        },
    )
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "validations").mkdir()
    return tmp_path


@pytest.fixture
async def adapter(store: Path) -> AsyncIterator[GreatExpectationsQuality]:
    adapter = gx_in(store, warn=0.95)
    yield adapter
    await adapter.aclose()


@pytest.fixture
def evaluate(store: Path) -> Evaluate:
    def put(evaluation: Evaluation) -> None:
        results = [expectation(f"expect_{check}", False, unexpected_count=3) for check in evaluation.failed_checks]
        results += [expectation("expect_something", True)]
        percent = None if evaluation.score is None else 100 * evaluation.score
        if percent is None:
            results = []
        write_result(store, evaluation.dataset, evaluation.at, results, percent=percent)

    return put


@pytest.fixture
def lose(store: Path) -> Lose:
    return lambda: shutil.rmtree(store / "validations")


class TestGreatExpectationsQuality(QualityContract):
    pass


async def only(adapter: GreatExpectationsQuality) -> QualityScore:
    (found,) = await adapter.scores()
    return found


async def test_two_suites_of_one_dataset_are_both_shown(store: Path) -> None:
    write_result(store, "customers", now(), [expectation("expect_a", True)], suite="strict.eu")
    write_result(store, "customers", now(), [expectation("expect_a", False)], suite="loose")
    loose, strict = await gx_in(store).scores()
    assert (loose.ref, loose.state) == ("gx/customers/loose", "critical")
    assert (strict.ref, strict.suite, strict.state) == ("gx/customers/strict.eu", "strict.eu", "ok")


async def test_a_suite_on_two_datasets(store: Path) -> None:
    """One is validated each minute, the other was an hour ago: it does not fall out of the newest."""
    write_result(store, "weekly", now() - timedelta(hours=1), [expectation("expect_a", False)])
    for age in range(30):
        write_result(store, "hourly", now() - age * MINUTE, [expectation("expect_a", True)])
    assert {score.dataset: score.state for score in await gx_in(store).scores()} == {
        "hourly": "ok",
        "weekly": "critical",
    }


async def test_a_run_name_that_is_new_each_time(store: Path) -> None:
    for age in range(3):
        at = now() - age * MINUTE
        write_result(store, "customers", at, [expectation("expect_a", age > 0)], run_name=f"airflow-{at.isoformat()}")
    found = await only(gx_in(store))
    assert [point.score for point in found.trend] == [1.0, 1.0, 0.0]


async def test_of_several_batches_in_one_run_the_worst_counts(store: Path) -> None:
    at = now()
    for batch, success in (("jan", True), ("feb", False), ("mar", True)):
        write_result(store, "customers", at, [expectation("expect_a", success)], batch=batch)
    assert (await only(gx_in(store))).state == "critical"


async def test_an_exception_is_no_failure_of_the_data(store: Path) -> None:
    broken = expectation("expect_c", False)
    metric = "MetricConfigurationID(metric_name='table.columns')"
    broken["exception_info"] = {metric: {"raised_exception": True, "exception_message": "no such column"}}
    good = [expectation("expect_a", True)] * 3
    write_result(store, "customers", now(), [*good, broken])
    found = await only(gx_in(store))
    assert (found.state, found.score, found.passed, found.total) == ("unknown", 1.0, 3, 3)
    assert (found.failures, found.errors) == ((), (FailedExpectation("c", "no such column"),))
    write_result(store, "customers", now(), [broken, expectation("expect_a", False)])
    assert (await only(gx_in(store))).state == "critical", "what failed is known"


@pytest.mark.parametrize(("severity", "state"), [("critical", "critical"), ("warning", "warning"), ("info", "warning")])
async def test_severity(store: Path, severity: str, state: str) -> None:
    results = [expectation("expect_a", False, severity, unexpected_count=2, element_count=9, unexpected_percent=22.22)]
    write_result(store, "customers", now(), results)
    found = await only(gx_in(store))
    assert (found.state, found.score) == (state, 0.0)
    suffix = "" if severity == "critical" else f" ({severity})"
    assert found.failures[0].detail == f"2 of 9 rows (22.2 %){suffix}"


async def test_values_of_the_data_are_not_shown(store: Path) -> None:
    result = {"unexpected_count": 1, "element_count": 4, "partial_unexpected_list": ["someone@example.com"]}
    write_result(store, "customers", now(), [expectation("expect_a", False, **result)])
    assert "someone@example.com" not in str(await only(gx_in(store)))


async def test_a_place_that_may_not_be_looked_into_is_unknown_and_takes_nothing_away(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(store, "customers", now(), [expectation("expect_a", True)])
    write_result(store, "orders", now(), [expectation("expect_a", True)], suite="private")
    shut(monkeypatch, store / "validations" / "private")
    readable, private = sorted(await gx_in(store).scores(), key=lambda score: score.dataset)
    assert (readable.dataset, readable.state) == ("customers", "ok")
    assert (private.dataset, private.state, private.score) == ("private", "unknown", None)
    assert "permission denied" in (private.reason or "")
    shut(monkeypatch, store / "validations" / "suite")
    with pytest.raises(BackendError, match="permission denied"):
        await gx_in(store).scores()


async def test_the_newest_that_cannot_be_read_is_not_covered_by_an_older_one(store: Path) -> None:
    write_result(store, "customers", now() - MINUTE, [expectation("expect_a", True)])
    path = write_result(store, "customers", now(), [expectation("expect_a", True)])
    path.write_text("{")
    os.utime(path, (0, 0))
    found = await only(gx_in(store))
    assert (found.state, found.score) == ("unknown", 1.0)
    assert (found.reason or "").startswith("the newest result cannot be read")
    alone = write_result(store, "orders", now(), [expectation("expect_a", True)])
    alone.write_bytes(b"<html>")
    os.utime(alone, (0, 0))
    states = {score.dataset: score.state for score in await gx_in(store).scores()}
    assert states == {"customers": "unknown", "shop-orders": "unknown"}


async def test_nothing_that_can_be_read_is_an_error(store: Path) -> None:
    path = store / "validations" / "x.json"
    path.write_text("[]")
    os.utime(path)
    with pytest.raises(BackendError, match="validation result") as caught:
        await gx_in(store).scores()
    assert (caught.value.kind, str(path) in caught.value.message) == ("malformed", True)


async def test_files_in_another_order_than_a_store_has(store: Path) -> None:
    path = write_result(store, "customers", now(), [expectation("expect_a", False)])
    shutil.move(path, store / "validations" / "latest.json")
    assert (await only(gx_in(store))).state == "critical"


async def test_too_many_new_ones_are_read_bit_by_bit(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NEW", 5)
    for dataset in range(7):
        for age in range(3):
            write_result(store, f"d{dataset}", now() - age * MINUTE, [expectation("expect_a", age > 0)])
    adapter = gx_in(store)
    first = await adapter.scores()
    assert [score.state for score in first] == ["critical"] * 7, "the newest of each comes first"
    for _ in range(4):
        found = await adapter.scores()
    assert [len(score.trend) for score in found] == [3] * 7


async def test_what_was_validated_long_ago_is_not_shown(store: Path) -> None:
    write_result(store, "old", now() - timedelta(days=31), [expectation("expect_a", True)])
    assert await gx_in(store).scores() == []
    assert len(await gx_in(store, window="60d").scores()) == 1


@pytest.mark.xdist_group("moto")
class TestInS3:
    @pytest.fixture(scope="class")
    def aws(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
        with moto(tmp_path_factory.mktemp("moto")) as server:
            yield server

    async def test_the_same_from_a_bucket(self, store: Path, aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        client = aws.client("s3")
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
        for age in range(3):
            path = write_result(store, "customers", now() - age * MINUTE, [expectation("expect_a", age > 0)])
            client.upload_file(str(path), "lake", f"dq/{path.relative_to(store / 'validations')}")
        adapter = gx_in(store, path="s3://lake/dq", timeout="30s", aws={"endpoint_url": aws.endpoint_url})
        found = await only(adapter)
        assert (found.state, [point.score for point in found.trend]) == ("critical", [1.0, 1.0, 0.0])
        await adapter.aclose()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"path": ""}, "path: it is empty"),
        ({"crit": 1.1}, "crit <= warn"),
        ({"history": 201}, "1 to 200"),
        ({"window": "0s"}, "more than 0s"),
        ({"aws": {"region": "x"}}, "which needs none"),
    ],
)
def test_a_config_that_cannot_be_meant(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        gx_in(tmp_path, **config)


@pytest.mark.parametrize("version", VERSIONS)
class TestRealGreatExpectations:
    """What each version wrote (tests/fixtures/regenerate_gx.py)."""

    async def test_its_store(self, version: str) -> None:
        found = {
            score.suite: score for score in await gx_in(FIXTURES, path=version, **ALWAYS, cadence="36500d").scores()
        }
        customers, broken = found["customers_suite"], found["customers.broken"]
        assert (customers.dataset, customers.state, len(customers.trend)) == ("customers", "critical", 3)
        assert customers.evaluated_at is not None
        assert customers.evaluated_at.tzinfo is UTC
        failed = {failure.check: failure.detail for failure in customers.failures}
        assert failed["email must not be null in 90 % of rows"] == "1 of 4 rows (25.0 %)"
        soft = " (warning)" if version != "0.18" else ""
        values = "country must be one of DE, FR, IT"
        assert failed[values] == f"1 of 4 rows (25.0 %){soft}"
        assert failed["row count must be between 10 and 1000"] == "observed 4"
        assert (broken.state, broken.score, broken.passed, broken.total) == ("unknown", 1.0, 1, 1)
        assert [(error.check, "no_such_column" in error.detail) for error in broken.errors] == [
            ("no_such_column must not be null", True)
        ]
        transactions = found["transactions_suite"]
        assert (transactions.dataset, transactions.score) == ("transactions", 0.0)
        assert transactions.state == ("critical" if version == "0.18" else "warning")
        empty = found["empty_suite"]
        assert (empty.state, empty.score, empty.reason) == ("unknown", None, "no data")

    def test_numbers_that_are_no_json(self, version: str) -> None:
        path = next((FIXTURES / version / "customers_suite").rglob("*.json"))
        body = path.read_bytes().replace(b'"observed_value": 4', b'"observed_value": NaN')
        assert b"NaN" in body
        assert read_validation(body).total == read_validation(path.read_bytes()).total


async def test_one_asset_in_two_data_sources_is_two_datasets(store: Path) -> None:
    for source, met in (("eu", True), ("us", False)):
        write_result(store, "orders", now(), [expectation("expect_a", met)], batch=f"{source}-orders", source=source)
        write_result(store, "only", now(), [expectation("expect_a", True)], batch="eu-only", source="eu")
    found = {score.ref: score.state for score in await gx_in(store).scores()}
    assert found == {"gx/eu.orders/suite": "ok", "gx/us.orders/suite": "critical", "gx/only/suite": "ok"}
