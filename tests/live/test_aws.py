"""The AWS of the tests: what it says and what its data plane does are the same thing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.aws import ACCOUNT, AwsLab, aws_lab
from tests.live.kubernetes import answering
from tests.live.process import until
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws")]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsLab]:
    with aws_lab(tmp_path_factory.mktemp("aws")) as lab:
        yield lab


async def test_requests_go_where_the_rules_say(aws: AwsLab, tmp_path: Path) -> None:
    async with TwoColors(tmp_path) as service:
        ports = {color: service.ports[color] for color in ("blue", "green")}
        balancer = await asyncio.to_thread(aws.balancer, ports, listeners=2)
        assert f":{ACCOUNT}:" in balancer.arn
        with aws.routed(balancer, tmp_path) as urls:
            seen = [await asyncio.to_thread(answering, f"{url}/health") for url in urls]
            assert seen == ["blue", "blue"]
            await asyncio.to_thread(aws.weigh, balancer.rules[1], balancer.groups, {"blue": 0, "green": 1})
            there = f"{urls[1]}/health"
            await asyncio.to_thread(until, lambda: answering(there) == "green", "the second listener follows")
            assert await asyncio.to_thread(answering, f"{urls[0]}/health") == "blue"
