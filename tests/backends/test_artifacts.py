"""Files in directories and in S3 (moto's server): read once, bounded, and every way in which S3 is not S3."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts.reading import Artifacts
from backends.aws.access import AwsAccess
from backends.errors import BackendError
from backends.settings import Secret
from tests.backends.faulty_server import FaultyServer
from tests.live.moto import KEYS, REGION, MotoServer, moto
from tests.live.process import free_port

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def bucket(aws: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    aws.reset()
    client = aws.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


Connect = Callable[..., Artifacts]


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    opened: list[Artifacts] = []

    def connected(location: str, timeout_s: float = 20, **access: Any) -> Artifacts:
        opened.append(Artifacts(location, base_dir=tmp_path, access=AwsAccess(**access), timeout_s=timeout_s))
        return opened[-1]

    yield connected
    for artifacts in opened:
        await artifacts.aclose()
        await artifacts.aclose()


def text(body: bytes) -> str:
    return body.decode()


def everything(_: str) -> bool:
    return True


async def failure(artifacts: Artifacts) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await artifacts.load("a.json", text)
    assert caught.value.message.isprintable()
    assert caught.value.fix
    return caught.value


class TestBucket:
    async def test_listed_newest_first_and_loaded(self, aws: MotoServer, bucket: Any, connect: Connect) -> None:
        for key in ("dq/b/2.json", "dq/a/1.json", "dq/", "other/x.json"):
            bucket.put_object(Bucket="lake", Key=key, Body=key.encode())
        artifacts = connect("s3://lake/dq", endpoint_url=aws.endpoint_url)
        found, _ = await artifacts.find(lambda name: name.endswith(".json"))
        assert sorted(artifact.name for artifact in found) == ["a/1.json", "b/2.json"]
        assert await artifacts.load_all(found, text) == [f"dq/{artifact.name}" for artifact in found]
        assert await artifacts.load("nope.json", text) is None

    async def test_what_has_not_changed_is_not_sent_again(self, aws: MotoServer, bucket: Any, connect: Connect) -> None:
        decoded: list[bytes] = []

        def decode(body: bytes) -> str:
            decoded.append(body)
            return body.decode()

        artifacts = connect("s3://lake", endpoint_url=aws.endpoint_url)
        bucket.put_object(Bucket="lake", Key="a.json", Body=b"one")
        assert [await artifacts.load("a.json", decode) for _ in range(3)] == ["one"] * 3
        listed, _ = await artifacts.find(everything)
        assert [artifacts.is_kept(found) for found in listed] == [True]
        assert await artifacts.load_all(listed, decode) == ["one"]
        assert decoded == [b"one"]
        bucket.put_object(Bucket="lake", Key="a.json", Body=b"two")
        assert await artifacts.load("a.json", decode) == "two"
        bucket.delete_object(Bucket="lake", Key="a.json")
        assert await artifacts.load("a.json", decode) is None

    async def test_keys_of_the_config_win(
        self, aws: MotoServer, bucket: Any, connect: Connect, monkeypatch: Any
    ) -> None:
        for name in KEYS:
            monkeypatch.delenv(name)
        monkeypatch.setenv("ID", "test")
        monkeypatch.setenv("KEY", "correct-horse")
        bucket.put_object(Bucket="lake", Key="a.json", Body=b"one")
        artifacts = connect(
            "s3://lake", endpoint_url=aws.endpoint_url, region=REGION,
            access_key_id=Secret(env="ID"), secret_access_key=Secret(env="KEY"), session_token=Secret(env="KEY"),
        )  # fmt: skip
        assert await artifacts.load("a.json", text) == "one"

    async def test_no_such_bucket(self, aws: MotoServer, bucket: Any, connect: Connect) -> None:
        artifacts = connect("s3://nowhere/x", endpoint_url=aws.endpoint_url)
        assert (await failure(artifacts)).kind == "not_found"
        with pytest.raises(BackendError, match="s3://nowhere/x/: NoSuchBucket"):
            await artifacts.find(everything)

    async def test_too_large_is_not_fetched(self, aws: MotoServer, bucket: Any, connect: Connect) -> None:
        bucket.put_object(Bucket="lake", Key="a.json", Body=b" " * (2 * 2**20))
        with pytest.raises(BackendError, match=r"a\.json has 2 MB, more than 1 MB"):
            await connect("s3://lake", endpoint_url=aws.endpoint_url).load("a.json", text, max_bytes=2**20)


class TestS3ThatIsNot:
    @pytest.fixture(autouse=True)
    def _keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ("hang", "timeout"), ("no answer", "unreachable"), ("reset", "unreachable"), ("401", "auth"),
            ("403", "auth"), ("404", "not_found"), ("429", "rate_limited"), ("500", "unreachable"),
            ("503", "unreachable"), ("html", "unreachable"), ("truncated JSON", "unreachable"),
            ("truncated body", "unreachable"), ("not HTTP", "unreachable"),
        ],
    )  # fmt: skip
    async def test_faults(self, connect: Connect, fault: str, kind: str) -> None:
        async with FaultyServer(fault=fault) as server:
            artifacts = connect("s3://lake", timeout_s=1 if fault == "hang" else 30, endpoint_url=server.url)
            with pytest.raises(BackendError) as caught:
                await artifacts.find(everything)
            assert caught.value.kind == kind, caught.value.message
            assert caught.value.message.startswith("s3://lake/: ")
            assert "correct-horse" not in caught.value.message

    async def test_refused(self, connect: Connect) -> None:
        found = await failure(connect("s3://lake", endpoint_url=f"http://127.0.0.1:{free_port()}"))
        assert found.kind == "unreachable"

    async def test_no_credentials(self, connect: Connect, monkeypatch: Any, tmp_path: Path) -> None:
        for name in KEYS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        found = await failure(connect("s3://lake", region=REGION, endpoint_url="http://127.0.0.1:9"))
        assert (found.kind, "AWS credentials" in found.fix) == ("auth", True)

    async def test_no_such_profile(self, connect: Connect, monkeypatch: Any) -> None:
        found = await failure(connect("s3://lake", profile="nobody"))
        assert (found.kind, "nobody" in found.message) == ("config", True)


class TestDirectory:
    async def test_links_and_odd_names(self, tmp_path: Path, connect: Connect) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b c.json").write_text("x")
        (tmp_path / "link.json").symlink_to(tmp_path / "a" / "b c.json")
        (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
        (tmp_path / "loop").symlink_to(tmp_path)
        os.mkfifo(tmp_path / "pipe.json")
        found, closed = await connect(str(tmp_path)).find(everything)
        assert [artifact.name for artifact in found] == ["a/b c.json"]
        assert [place.name for place in closed] == ["gone.json"]

    async def test_newest_first(self, tmp_path: Path, connect: Connect) -> None:
        for name, age in (("old", 20), ("new", 1), ("mid", 10)):
            (tmp_path / name).write_text(name)
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        assert [found.name for found in (await connect(str(tmp_path)).find(everything))[0]] == ["new", "mid", "old"]

    async def test_not_there(self, connect: Connect) -> None:
        artifacts = connect("nowhere")
        found = await failure(artifacts)
        assert (found.kind, "no such file" in found.message) == ("unreachable", True)
        with pytest.raises(BackendError, match="no such file"):
            await artifacts.find(everything)

    @pytest.mark.usefixtures("bound_by_modes")
    async def test_not_allowed(self, tmp_path: Path, connect: Connect) -> None:
        (tmp_path / "a.json").write_text("x")
        (tmp_path / "a.json").chmod(stat.S_IWUSR)
        assert (await failure(connect(str(tmp_path)))).kind == "auth"

    async def test_a_directory_is_no_file(self, tmp_path: Path, connect: Connect) -> None:
        (tmp_path / "a.json").mkdir()
        assert (await failure(connect(str(tmp_path)))).kind in ("malformed", "unreachable")

    async def test_reads_side_by_side_and_cancelled_ones(self, tmp_path: Path, connect: Connect) -> None:
        (tmp_path / "a.json").write_text("x")
        artifacts = connect(str(tmp_path))
        tasks = [asyncio.create_task(artifacts.load("a.json", text)) for _ in range(8)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert found[1:] == ["x"] * 7
