"""`dbt` quality: the contract, the traps of files that the next command overwrites, and what real dbts wrote."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.models import FailedExpectation, QualityScore
from backends.quality.dbt.artifacts import read_manifest, read_run_results, read_sources
from backends.quality.dbt.quality import DbtQuality
from backends.quality.dbt.scores import judge, replayed
from backends.quality.rows import Limits
from backends.registry import AdapterContext, build
from backends.testing.quality import MINUTE, Evaluate, Evaluation, Lose, QualityContract, now
from tests.backends.dbt_files import result, source, stamp, write, write_manifest, write_results, write_sources
from tests.live.moto import KEYS, REGION, MotoServer, moto

FIXTURES = Path(__file__).parent.parent / "fixtures" / "dbt"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir())
HOUR = timedelta(hours=1)
UNIQUE, NOT_NULL = "test.shop.unique.abc", "test.shop.not_null.abc"


def dbt_in(directory: Path, state: str = "state", **config: Any) -> DbtQuality:
    config = {"path": "target", **config}
    adapter: DbtQuality = build("quality", "dbt", config, AdapterContext("dbt", directory, directory / state, Http()))
    return adapter


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
async def adapter(shop: Path) -> AsyncIterator[DbtQuality]:
    adapter = dbt_in(shop, archive="runs", warn=0.95)
    yield adapter
    await adapter.aclose()


@pytest.fixture
def evaluate(shop: Path) -> Evaluate:
    """Commands of one project for each dataset, archived; a score is so many tests that pass and fail."""
    count = 0

    def put(evaluation: Evaluation) -> None:
        nonlocal count
        count += 1
        package = evaluation.dataset
        if evaluation.score is None or not 0 <= evaluation.score <= 1:
            results = [result(f"test.{package}.t{n}.0", "no word of dbt", evaluation.at) for n in range(1000)]
        else:
            bad = len(evaluation.failed_checks) or round((1 - evaluation.score) * 1000)
            tests = round(bad / (1 - evaluation.score)) if bad else 1000
            names = [*evaluation.failed_checks, *(f"t{n}" for n in range(len(evaluation.failed_checks), tests))]
            results = [result(f"test.{package}.{name}.0", "fail", evaluation.at, 3) for name in names[:bad]]
            results += [result(f"test.{package}.{name}.0", "pass", evaluation.at, 0) for name in names[bad:]]
        write_results(shop / "runs" / str(count), evaluation.at, results, invocation=f"{package} {count}")

    return put


@pytest.fixture
def lose(shop: Path) -> Lose:
    return lambda: shutil.rmtree(shop / "runs")


class TestDbtQuality(QualityContract):
    pass


async def only(adapter: DbtQuality) -> QualityScore:
    (found,) = await adapter.scores()
    return found


class TestLaterCommandsOverwrite:
    async def test_a_failed_run_is_not_hidden_by_the_tests_after_it(self, shop: Path) -> None:
        adapter, target = dbt_in(shop), shop / "target"
        write_manifest(target, ["orders"], {"unique": "orders"})
        broken = result("model.shop.orders", "error", now() - 2 * MINUTE, message="Binder Error: no such column")
        write_results(target, now() - 2 * MINUTE, [broken], which="run")
        found = await only(adapter)
        assert (found.state, found.score) == ("critical", None)
        write_results(target, now() - MINUTE, [result(UNIQUE, "pass", now() - MINUTE, 0)])
        found = await only(adapter)
        assert (found.state, found.score) == ("critical", 1.0), "the tests passed on the data of before"
        assert (found.reason or "").startswith("the model failed: Binder Error")
        again = dbt_in(shop)
        assert (await only(again)).state == "critical", "another process remembers it, too"

    async def test_without_having_seen_it_the_tests_alone_are_believed(self, shop: Path) -> None:
        write_manifest(shop / "target", ["orders"], {"unique": "orders"})
        write_results(shop / "target", now(), [result(UNIQUE, "pass", now(), 0)])
        assert (await only(dbt_in(shop))).state == "ok"

    async def test_a_run_after_the_tests_makes_them_old(self, shop: Path) -> None:
        adapter, target = dbt_in(shop), shop / "target"
        write_manifest(target, ["orders"], {"unique": "orders"})
        write_results(target, now() - HOUR, [result(UNIQUE, "pass", now() - HOUR, 0)])
        assert (await only(adapter)).state == "ok"
        write_results(target, now(), [result("model.shop.orders", "success", now())], which="run")
        found = await only(adapter)
        assert (found.state, found.score) == ("unknown", 1.0)
        assert found.reason == "1 of 1 tests have no result since it was built (the last command was dbt run)"

    async def test_a_part_of_the_tests_is_not_the_whole(self, shop: Path) -> None:
        target = shop / "target"
        write_manifest(target, ["orders"], {"unique": "orders", "not_null": "orders"})
        write_results(target, now(), [result(UNIQUE, "pass", now(), 0)])
        found = await only(dbt_in(shop))
        assert (found.state, found.passed, found.total) == ("unknown", 1, 1)
        assert found.reason == "1 of 2 tests have no result (the last command was dbt test)"
        assert (await only(dbt_in(shop, all_tests=False))).state == "ok"

    async def test_the_failed_test_of_before_stays_failed(self, shop: Path) -> None:
        adapter, target = dbt_in(shop), shop / "target"
        write_manifest(target, ["orders"], {"unique": "orders", "not_null": "orders"})
        both = [result(UNIQUE, "fail", now() - HOUR, 7), result(NOT_NULL, "pass", now() - HOUR, 0)]
        write_results(target, now() - HOUR, both)
        await adapter.scores()
        write_results(target, now(), [result(NOT_NULL, "pass", now(), 0)])
        found = await only(adapter)
        assert (found.state, found.score) == ("critical", 0.5)
        assert found.failures == (FailedExpectation("unique", "7 rows"),)

    @pytest.mark.parametrize(("which", "args"), [("compile", {}), ("generate", {}), ("build", {"empty": True})])
    async def test_what_runs_nothing_says_nothing(self, shop: Path, which: str, args: dict[str, Any]) -> None:
        adapter, target = dbt_in(shop), shop / "target"
        write_manifest(target, ["orders"], {"unique": "orders"})
        write_results(target, now() - HOUR, [result(UNIQUE, "fail", now() - HOUR, 1)])
        before = await only(adapter)
        seeming = [result("model.shop.orders", "success", now()), result(UNIQUE, "success", now(), 0)]
        write_results(target, now(), seeming, which=which, **args)
        after = await only(adapter)
        assert (
            (after.state, after.evaluated_at) == (before.state, before.evaluated_at) == ("critical", after.evaluated_at)
        )

    async def test_one_command_for_each_model(self, shop: Path) -> None:
        """As Airflow's cosmos runs it: more commands a night than are looked back at."""
        adapter, target = dbt_in(shop, history=3), shop / "target"
        models = [f"m{n}" for n in range(8)]
        write_manifest(target, models, {f"unique_{name}": name for name in models})
        for n, name in enumerate(models):
            at = now() - (20 - n) * MINUTE
            write_results(
                target, at, [result(f"test.shop.unique_{name}.abc", "fail" if n == 0 else "pass", at, int(n == 0))]
            )
            found = await adapter.scores()
        assert [(score.dataset, score.state) for score in found] == [
            (name, "critical" if name == "m0" else "ok") for name in models
        ]
        again = await dbt_in(shop, history=3).scores()
        assert [(score.dataset, score.state) for score in again] == [(score.dataset, score.state) for score in found]

    async def test_a_memory_that_cannot_be_kept_is_said(self, shop: Path) -> None:
        (shop / "state").write_text("a file where a directory should be")
        write_results(shop / "target", now(), [result("test.shop.t.1", "pass", now(), 0)])
        assert "is not remembered" in ((await only(dbt_in(shop))).reason or "")

    async def test_a_damaged_memory_is_said_and_is_not_written_over(self, shop: Path) -> None:
        write_results(shop / "target", now(), [result("test.shop.t.1", "pass", now(), 0)])
        await dbt_in(shop).scores()
        (memory,) = (shop / "state").glob("*.dbt")
        memory.write_bytes(b"\xc1 nothing")
        for _ in range(2):
            found = await only(dbt_in(shop))
            assert found.state == "ok"
            assert found.reason is not None
            assert "damaged: move it away" in found.reason
        assert memory.read_bytes() == b"\xc1 nothing"


class TestNames:
    @pytest.mark.parametrize("with_manifest", [True, False])
    @pytest.mark.parametrize("order", [1, -1])
    async def test_models_of_one_name_in_two_packages_are_two(
        self, shop: Path, with_manifest: bool, order: int
    ) -> None:
        models = ["model.finance.orders", "model.shop.orders"]
        if with_manifest:
            nodes = {node: {"resource_type": "model", "name": "orders"} for node in models}
            nodes |= {
                f"test.{node.split('.')[1]}.t.1": {"resource_type": "test", "name": "t", "attached_node": node}
                for node in models
            }
            write(shop / "target" / "manifest.json", {"metadata": {}, "nodes": nodes})
        results = [
            result(models[0], "error", now(), message="no such table"), result(models[1], "success", now()),
        ]  # fmt: skip
        write_results(shop / "target", now(), results[::order], which="run")
        found = {score.dataset: score.state for score in await dbt_in(shop, all_tests=False).scores()}
        assert found["finance.orders"] == "critical"
        assert found.get("shop.orders", "ok") != "critical"
        assert len({score.ref for score in await dbt_in(shop).scores()}) == len(found)

    @pytest.mark.parametrize("with_manifest", [True, False])
    async def test_a_hook_that_failed_is_there(self, shop: Path, with_manifest: bool) -> None:
        hook = "operation.shop.shop-on-run-end-0"
        if with_manifest:
            write_manifest(shop / "target", ["orders"], {})
        for status, said in (("error", ["shop-on-run-end-0"]), ("success", [])):
            results = [result("model.shop.orders", "success", now()), result(hook, status, now(), message="no grant")]
            write_results(shop / "target", now(), results, which="run", invocation=status)
            scores = await dbt_in(shop).scores()
            assert [score.dataset for score in scores] == said
            assert all(
                (score.state, "the hook failed: no grant" in (score.reason or "")) == ("critical", True)
                for score in scores
            )


class TestFreshness:
    async def measured(self, shop: Path, status: str, age: timedelta, looked: timedelta = MINUTE, **more: Any) -> Any:
        at = now() - looked
        limits = {"warn_after": (12, "hour"), "error_after": (1, "day")}
        entry = source("source.shop.raw.orders", status, at, at - age, **limits) | more
        write_sources(shop / "target", at, [entry])
        return await only(dbt_in(shop))

    @pytest.mark.parametrize(
        ("status", "hours", "state", "score"),
        [("pass", 1, "ok", 1.0), ("Pass", 1, "ok", 1.0), ("Warn", 13, "warning", 0.5), ("Error", 26, "critical", 0.0)],
    )
    async def test_the_verdict_of_dbt(self, shop: Path, status: str, hours: int, state: str, score: float) -> None:
        found = await self.measured(shop, status, hours * HOUR)
        assert (found.dataset, found.state, found.score) == ("raw.orders", state, score)
        assert found.freshness.state == state
        assert (found.freshness.warn_after_s, found.freshness.error_after_s) == (12 * 3600, 24 * 3600)
        if state == "critical":
            assert found.failures == (FailedExpectation("freshness", "newest row 1d2h old, limit 1d"),)

    async def test_a_source_that_could_not_be_asked(self, shop: Path) -> None:
        found = await self.measured(shop, "runtime error", HOUR, error="Database Error: no such table", criteria=None)
        assert (found.state, found.score) == ("unknown", None)
        assert found.errors == (FailedExpectation("freshness", "Database Error: no such table"),)

    async def test_fresh_a_day_ago_is_not_fresh(self, shop: Path) -> None:
        found = await self.measured(shop, "pass", HOUR, looked=26 * HOUR)
        assert (found.state, found.freshness.state) == ("unknown", "unknown")
        assert "nobody has looked at its freshness for 1d2h" in found.reason

    async def test_a_word_that_a_later_dbt_added(self, shop: Path) -> None:
        found = await self.measured(
            shop, "Lukewarm", HOUR, criteria={"warn_after": {"count": 1, "period": "fortnight"}}
        )
        assert (found.state, found.freshness.warn_after_s) == ("unknown", None)


@pytest.mark.xdist_group("moto")
class TestInS3:
    async def test_the_same_from_a_bucket(self, shop: Path, aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        client = aws.client("s3")
        client.create_bucket(Bucket="dbt", CreateBucketConfiguration={"LocationConstraint": REGION})
        write_manifest(shop / "target", ["orders"], {"unique": "orders"})
        write_results(shop / "target", now(), [result(UNIQUE, "fail", now(), 2)])
        write_results(shop / "runs" / "1", now() - HOUR, [result(UNIQUE, "pass", now() - HOUR, 0)])
        for path in shop.rglob("*.json"):
            client.upload_file(str(path), "dbt", f"shop/{path.relative_to(shop)}")
        place = {
            "path": "s3://dbt/shop/target",
            "archive": "s3://dbt/shop/runs",
            "aws": {"endpoint_url": aws.endpoint_url},
        }
        adapter = dbt_in(shop, timeout="30s", **place)
        found = await only(adapter)
        assert (found.dataset, found.state, [point.score for point in found.trend]) == (
            "orders",
            "critical",
            [1.0, 0.0],
        )
        aws.reset()
        with pytest.raises(BackendError, match="NoSuchBucket"):
            await adapter.scores()
        await adapter.aclose()


class TestDownstream:
    async def test_who_is_hit(self, shop: Path) -> None:
        children = {
            "model.shop.orders": ["test.shop.unique.abc", "model.shop.revenue"],
            "model.shop.revenue": ["model.shop.orders", "exposure.shop.kpis"],
        }
        write_manifest(shop / "target", ["orders", "revenue"], {"unique": "orders"}, children)
        write_results(shop / "target", now(), [result(UNIQUE, "fail", now(), 1)])
        assert (await only(dbt_in(shop))).downstream == ("dashboard kpis (Finance)", "revenue")


class TestFiles:
    async def test_unchanged_files_are_read_once(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import backends.quality.dbt.quality as module

        decoded: list[int] = []
        real = module.read_run_results
        monkeypatch.setattr(module, "read_run_results", lambda body: decoded.append(1) or real(body))
        write_results(shop / "target", now(), [result("test.shop.t.1", "pass", now(), 0)])
        adapter = dbt_in(shop)
        first = await adapter.scores()
        assert [score.dataset for score in await adapter.scores()] == [score.dataset for score in first]
        assert decoded == [1]

    async def test_half_a_file_is_read_again(self, shop: Path) -> None:
        write_results(shop / "target", now(), [result("test.shop.t.1", "pass", now(), 0)])
        path = shop / "target" / "run_results.json"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        reading = asyncio.create_task(dbt_in(shop).scores())
        await asyncio.sleep(0.1)
        path.write_bytes(whole)
        assert [score.state for score in await reading] == ["ok"]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "an empty answer instead of JSON"),
            (b"<!doctype html>", "an HTML page instead of JSON"),
            (b'{"metadata": {}, "results": 7}', r"\$.results"),
            (b'{"metadata": {}, "results": []}', "generated_at is not a time"),
            (b'{"metadata": {"generated_at": "\xff"}}', "run_results.json"),
            (b'{"results": []}', "metadata"),
        ],
    )
    async def test_what_is_no_artifact(self, shop: Path, content: bytes, words: str) -> None:
        path = shop / "target" / "run_results.json"
        path.write_bytes(content)
        os.utime(path, (0, 0))
        with pytest.raises(BackendError, match=words) as caught:
            await dbt_in(shop).scores()
        assert (caught.value.kind, bool(caught.value.fix)) == ("malformed", True)

    async def test_a_pipe_does_not_hang(self, shop: Path) -> None:
        os.mkfifo(shop / "target" / "run_results.json")
        with pytest.raises(BackendError, match="is not a file"):
            await dbt_in(shop).scores()

    async def test_one_damaged_file_of_an_archive_costs_itself(self, shop: Path, adapter: DbtQuality) -> None:
        write_results(shop / "runs" / "1", now() - MINUTE, [result("test.shop.t.1", "fail", now() - MINUTE, 1)])
        (shop / "runs" / "2").mkdir()
        (damaged := shop / "runs" / "2" / "run_results.json").write_text("{")
        os.utime(damaged, (0, 0))
        assert (await only(adapter)).state == "critical"

    async def test_too_large(self, shop: Path) -> None:
        with (shop / "target" / "run_results.json").open("wb") as file:
            file.truncate(65 * 2**20)
        with pytest.raises(BackendError, match="has 65 MB, more than 64 MB"):
            await dbt_in(shop).scores()

    async def test_the_run_that_wrote_it(self, shop: Path) -> None:
        at = now()
        metadata = {"generated_at": stamp(at), "invocation_id": None, "env": {"TEAL_RUN_REF": "airflow/dag/r1"}}
        results = [result("test.shop.t.1", "PASS", at, 0)]
        write(shop / "target" / "run_results.json", {"metadata": metadata, "args": {}, "results": results})
        assert (await only(dbt_in(shop))).run_ref == "airflow/dag/r1"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"path": " "}, "path: it is empty"),
        ({"path": "https://bucket/x"}, "a directory, or s3://"),
        ({"path": "s3://"}, "a directory, or s3://"),
        ({"archive": "gs://x/y"}, "archive: a directory"),
        ({"warn": 0.5}, "crit <= warn"),
        ({"history": 0}, "1 to 200"),
        ({"timeout": "0s"}, "more than 0s"),
        ({"aws": {"region": "x"}}, "which needs none"),
        ({"path": "s3://b", "aws": {"access_key_id": {"env": "X"}}}, "belong together"),
        ({"path": "s3://b", "aws": {"endpoint_url": "http://u:p@minio"}}, "password inside a URL"),
    ],
)
def test_a_config_that_cannot_be_meant(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        dbt_in(tmp_path, **config)


class TestRealDbt:
    """What each version wrote about tests/fixtures/dbt_project (tests/fixtures/regenerate_dbt.sh)."""

    def judged(self, version: str, *commands: str) -> dict[str, QualityScore]:
        directories = [FIXTURES / version / command for command in commands]
        results = [read_run_results((directory / "run_results.json").read_bytes()) for directory in directories]
        looks = [read_sources((directory / "sources.json").read_bytes()) for directory in directories[-1:]]
        project = read_manifest((directories[-1] / "manifest.json").read_bytes())
        known = [found for found in results if found is not None]
        at = max([found.at for found in known] + [look.at for look in looks]) + MINUTE
        found = judge("dbt", replayed(project, known, looks), Limits(1.0, 0.8), at)
        return {score.dataset: score for score in found}

    @pytest.mark.parametrize("version", VERSIONS)
    def test_tests_failures_and_freshness(self, version: str) -> None:
        found = self.judged(version, "test")
        customers, orders = found["customers"], found["orders"]
        broken = version == "2.0"  # which counts a test that cannot run as one that fails
        failed = {failure.check: failure.detail for failure in customers.failures}
        assert failed["accepted_values country"] == "1 row"
        assert failed["not_null email"] == "1 row (warning)"
        assert ("broken_test" in failed) == broken
        assert [error.check for error in customers.errors] == ([] if broken else ["broken_test"])
        assert (customers.passed, customers.total) == (2, 5 if broken else 4)
        assert customers.state == "critical"
        assert {failure.check: failure.detail for failure in orders.failures} == {
            "unique order_id": "1 row", "relationships customer_id": "1 row", "orders_are_positive": "1 row",
        }  # fmt: skip
        assert (orders.state, orders.score, orders.total) == ("critical", 0.25, 4)
        assert orders.downstream == ("dashboard weekly_kpis (Finance)", "revenue")
        assert orders.run_ref == "airflow/production_data_pipeline/r1"
        assert found["revenue"].state == "ok"
        old, fresh = found["raw.raw_customers"], found["raw.raw_orders"]
        assert old.freshness is not None
        assert (old.state, old.freshness.state, old.freshness.loaded_at) == (
            "critical", "critical", datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        assert (fresh.state, fresh.total) == ("ok", 2)
        missing = found["raw.missing"]
        assert (missing.state, missing.score, missing.errors[0].check) == ("unknown", None, "freshness")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_build_skips_what_is_below_a_failure(self, version: str) -> None:
        found = self.judged(version, "built")
        assert found["revenue"].state == "unknown"
        assert (found["revenue"].reason or "").startswith("the model was skipped")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_tests_hide_the_run_that_failed(self, version: str) -> None:
        alone, both = self.judged(version, "test-after"), self.judged(version, "run-failed", "test-after")
        assert "failed" not in (alone["orders"].reason or "")
        assert both["orders"].state == "critical"
        assert (both["orders"].reason or "").startswith("the model failed: ")
        assert "no_such_column" in (both["orders"].reason or "")
        assert both["revenue"].state == "unknown"

    @pytest.mark.parametrize("version", VERSIONS)
    def test_compiling_is_no_success(self, version: str) -> None:
        assert read_run_results((FIXTURES / version / "compile" / "run_results.json").read_bytes()) is None
