"""A secret that is written out in what only looks at a service forbids the way forward, and is in no rollback's way."""

from pathlib import Path

import pytest

from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.console.test_resume import ended
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


@pytest.mark.parametrize("where", ['/health", header', "blue"])
async def test_the_way_back_goes_on_and_the_way_forward_is_refused(
    tmp_path: Path, service: TwoColors, where: str
) -> None:
    config = written(service, "")
    teal = Teal(tmp_path, config)
    assert (await teal.document("deploy", "flip", "analytics", "-y"))["items"][0]["status"] == "succeeded"
    url = service.url("blue") if where == "blue" else service.url("router")
    config.write_text(config.read_text().replace(f'"{url}"', f'"{url}?token=SeCrEt12345"'))
    code, said = await ended(await teal.start("config", "validate", "--offline"))
    assert (code, "a secret inside a URL (`token`)" in said) == (2, True)
    code, said = await ended(await teal.start("deploy", "flip", "analytics", "-y"))
    assert (code, "a secret inside a URL (`token`)" in said, service.weights()) == (3, True, GREEN)
    rolled = (await teal.document("deploy", "rollback", "analytics", "-y"))["items"][0]
    assert (rolled["status"], service.weights()) == ("succeeded", BLUE)
    shown = await ended(await teal.start("deploy", "status", "-v"))
    assert "SeCrEt12345" not in shown[1] + said
    for file in (tmp_path / "state").rglob("*"):
        assert not file.is_file() or b"SeCrEt12345" not in file.read_bytes(), file
