"""`airflow` with `mwaa`: the contract over InvokeRestApi, before the fake of Airflow, and what AWS itself refuses."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from backends.errors import BackendError
from backends.pipelines.airflow.pipelines import AirflowPipelines
from backends.testing.pipelines import Names, PipelinesContract, ended, refused
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_airflow import TOKEN, FakeAirflow
from tests.backends.faulty_server import Received
from tests.fake_aws import FakeAws, Refused

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
async def server(request: pytest.FixtureRequest, aws: FakeAws) -> AsyncIterator[FakeAirflow]:
    async with FakeAirflow(v2=request.param, auth="bearer") as server:

        def invoke(asked: dict[str, Any]) -> dict[str, Any]:
            assert asked["Name"] == "prod"
            assert not asked["Path"].startswith("/api/")
            query = urlencode(asked.get("QueryParameters") or {}, doseq=True)
            url = f"{server.url}/api/{'v2' if server.v2 else 'v1'}{asked['Path']}{'?' if query else ''}{query}"
            body = json.dumps(asked["Body"]).encode() if "Body" in asked else None
            headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
            sent = urllib.request.Request(url, body, headers, method=asked["Method"])
            try:
                with urllib.request.urlopen(sent, timeout=20) as answer:
                    said = answer.read()
                    return {"RestApiStatusCode": answer.status, "RestApiResponse": json.loads(said) if said else {}}
            except urllib.error.HTTPError as error:
                said = json.loads(error.read() or b"{}")
                code = "RestApiClientException" if error.code < 500 else "RestApiServerException"
                more = {"RestApiStatusCode": error.code, "RestApiResponse": said}
                raise Refused(code, status=400 if error.code < 500 else 500, **more) from None

        aws.answers["mwaa.InvokeRestApi"] = invoke
        page = {"Environment": {"WebserverUrl": "abc.c1.eu-central-1.airflow.amazonaws.com"}}
        aws.answers["mwaa.GetEnvironment"] = lambda asked: page
        yield server


@pytest.fixture
def adapter(connect: Connect, server: FakeAirflow) -> AirflowPipelines:
    found: AirflowPipelines = connect("pipelines", "airflow", mwaa="prod")
    return found


class TestContract(PipelinesContract):
    @pytest.fixture
    def names(self) -> Names:
        return Names()


async def test_a_row_leads_to_the_web_server_or_names_the_environment(
    aws: FakeAws, adapter: AirflowPipelines, connect: Connect
) -> None:
    await adapter.trigger("succeeds", "r1", {})
    run = await ended(adapter, "succeeds", "r1")
    assert run.url is not None
    assert run.url.startswith("https://abc.c1.eu-central-1.airflow.amazonaws.com/dags/succeeds/")
    aws.fail("mwaa.GetEnvironment", "AccessDeniedException")
    other = await connect("pipelines", "airflow", mwaa="prod", timeout="19s").run("succeeds", "r1")
    assert other.url is not None
    assert other.url.startswith("mwaa://prod/dags/")


async def test_what_airflow_refuses_is_airflows_word_and_what_aws_refuses_is_a_right(
    aws: FakeAws, adapter: AirflowPipelines
) -> None:
    assert await refused(adapter.run("succeeds", "nope")) == "not_found"
    words = "User: arn:aws:iam::1:user/me is not authorized to perform: airflow:InvokeRestApi on resource: prod"
    aws.fail("mwaa.InvokeRestApi", "AccessDeniedException", message=words, status=403)
    with pytest.raises(BackendError, match="no right airflow:InvokeRestApi") as caught:
        await adapter.runs()
    assert caught.value.kind == "auth"


async def test_a_trigger_whose_answer_is_lost_is_one_run(
    aws: FakeAws, server: FakeAirflow, adapter: AirflowPipelines
) -> None:
    await adapter.runs()
    posts = [asked for asked in aws.called("mwaa.InvokeRestApi") if asked["Method"] == "POST"]
    aws.fail("mwaa.InvokeRestApi", how="lost", times=1)
    await asyncio.gather(adapter.trigger("succeeds", "r1", {}), return_exceptions=True)
    await adapter.trigger("succeeds", "r1", {})
    assert len(server.runs) == 1
    assert len(posts) <= 1


@dataclass
class WebServer(FakeAirflow):
    """The web server of an environment, which takes each web login token once, for a session."""

    logins: int = 0
    fresh: set[str] = field(default_factory=set)

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        if request.target.endswith("/aws_mwaa/login"):
            asked = parse_qs(request.body.decode())["token"][0]
            known, mine = asked in self.fresh, request.target.startswith("/pluginsv2/") == self.v2
            if known and mine:
                self.fresh.remove(asked)
                self.logins += 1
                self.tokens = {f"s{self.logins}"}
            cookie = f"csrf=x; Path=/, {'_token' if self.v2 else 'session'}=s{self.logins}; Path=/; Secure; HttpOnly"
            status = 404 if not mine else 302 if known else 403
            await self.send(writer, status, b"", {"set-cookie": cookie} if known and mine else {})
            return
        session = dict(request.headers).get("cookie", "").removeprefix("session=")
        if not self.v2 and session:
            request = Received(
                request.method, request.target, {**request.headers, "authorization": f"Bearer {session}"}, request.body
            )
        await super().respond(writer, request)


@pytest.mark.parametrize("v2", [True, False], ids=["v2", "v1"])
async def test_where_invoke_rest_api_is_refused_a_web_login_token_opens(
    aws: FakeAws, connect: Connect, v2: bool
) -> None:
    denied = "not authorized to perform: airflow:{} on resource: prod"
    async with WebServer(v2=v2, auth="bearer", tokens=set()) as server:

        def issue(asked: dict[str, Any]) -> dict[str, Any]:
            assert asked["Name"] == "prod"
            server.fresh.add(token := f"web-token-{len(aws.calls)}")
            return {"WebToken": token, "WebServerHostname": server.url.removeprefix("http://")}

        aws.answers["mwaa.CreateWebLoginToken"] = issue
        aws.answers["mwaa.GetEnvironment"] = lambda asked: {"Environment": {"WebserverUrl": "a.airflow.amazonaws.com"}}
        aws.fail("mwaa.InvokeRestApi", "AccessDeniedException", message=denied.format("InvokeRestApi"), status=403)
        adapter = connect("pipelines", "airflow", mwaa="prod")
        await adapter.trigger("succeeds", "r1", {"n": 1})
        assert (await ended(adapter, "succeeds", "r1")).state == "success"
        assert (server.logins, len(server.runs)) == (1, 1)
        assert len([name for name, _ in aws.calls if name == "mwaa.InvokeRestApi"]) <= 1
        server.tokens = set()  # the session has ended
        await adapter.trigger("succeeds", "r2", {})
        assert (server.logins, len(server.runs)) == (2, 2)
        aws.fail("mwaa.CreateWebLoginToken", "AccessDeniedException", message=denied.format("CreateWebLoginToken"))
        other = connect("pipelines", "airflow", mwaa="prod", timeout="19s")
        with pytest.raises(BackendError, match="no right airflow:InvokeRestApi"):
            await other.runs()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "url, mwaa: one of them"), ({"url": "https://a", "mwaa": "prod"}, "url, mwaa: one of them"),
        ({"mwaa": "prod", "auth": {"token": {"env": "X"}}}, "whose requests AWS signs"),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused(connect: Connect, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        connect("pipelines", "airflow", **config)
