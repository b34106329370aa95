"""What every command says of an action whose runner was killed, and which of them tell others of it."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.backends.faulty_server import FaultyServer
from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.two_colors import TwoColors

READS = (
    ("status",), ("deploy", "status"), ("action", "list"), ("action", "show", "{id}"), ("action", "show"),
    ("deploy", "history"),
    ("deploy", "rollback", "analytics", "--dry-run"),
)  # fmt: skip


async def said(teal: Teal, *words: str) -> tuple[int | None, str, str]:
    process = await teal.start(*words)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_all_say_it_and_only_who_may_claim_it_tells(tmp_path: Path, service: TwoColors) -> None:
    async with FaultyServer() as receiver:
        config = written(service, f'[[contexts.c.notify]]\ntype = "webhook"\nurl = "{receiver.url}/hook"')
        config.write_text(config.read_text().replace('bake = "200ms"', 'bake = "5m"'))
        teal = Teal(tmp_path, config)
        code, out, err = await said(teal, "deploy", "flip", "analytics", "-y", "--detach", "-o", "json")
        assert code == 8, err
        found = await teal.until(phase="bake")
        receiver.requests.clear()
        assert found.owner is not None
        os.kill(found.owner.pid, signal.SIGKILL)
        ways = f"teal action resume {found.id}, or teal deploy rollback analytics"
        for words in READS:
            code, out, err = await said(teal, *(word.format(id=found.id) for word in words))
            if "rollback" not in words:
                assert "nobody runs it since " in out, words
                assert ways in out, words
        assert receiver.requests == []
        for words, key in ((("status",), "actions"), (("action", "list"), "items"), (("deploy", "status"), "items")):
            document: dict[str, Any] = await teal.document(*words)
            assert (document["health"], document[key][0]["orphaned_since"] is not None) == ("critical", True), words
        assert receiver.requests == []
        code, out, err = await said(teal, "check")
        assert (code, ways in out, "nobody runs" in out) == (2, True, True)
        assert (await said(teal, "check", "deployments"))[0] == 2
        assert (await said(teal, "check", "actions"))[0] == 2
        (event,) = [json.loads(request.body) for request in receiver.requests]
        assert (event["what"], event["action"], ways in event["text"]) == ("held", found.id, True)
        code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
        assert (code, service.weights()) == (0, {"blue": 100, "green": 0}), err
        async with asyncio.timeout(30):  # its runner tells it when it has written that it has ended
            while len(receiver.requests) < 2:
                await asyncio.sleep(0.02)
        assert [json.loads(request.body)["what"] for request in receiver.requests] == ["held", "rolled_back"]
        code, out, err = await said(teal, "check", "actions")
        assert (code, "0 open" in out) == (0, True)
        code, out, err = await said(teal, "action", "show")
        assert (code, "no open action" in err) == (5, True)
