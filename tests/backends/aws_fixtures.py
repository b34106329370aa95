"""What the tests of AWS adapters share: the fake in front of an empty moto, the environment of a user who has keys, and
adapters that are closed afterwards."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.http import Http
from backends.registry import AdapterContext, build
from tests.fake_aws import FakeAws, fake_aws
from tests.live.moto import KEYS, REGION, MotoServer

Connect = Callable[..., Any]
"""`connect("checks", "sqs", queue="orders")`: an adapter named `mine`, of the fake."""


@pytest.fixture
def aws(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    moto_server.reset()
    with fake_aws(moto_server.endpoint_url) as found:
        yield found


@pytest.fixture
async def connect(aws: FakeAws, tmp_path: Path, http: Http) -> AsyncIterator[Connect]:
    built: list[Any] = []

    def connected(port: str, kind: str, **config: Any) -> Any:
        context = AdapterContext("mine", tmp_path, tmp_path, http)
        given = {"aws": {"endpoint_url": aws.endpoint_url, "region": REGION}, "timeout": "20s", **config}
        built.append(build(port, kind, given, context))
        return built[-1]

    yield connected
    for adapter in built:
        await adapter.aclose()
        await adapter.aclose()
