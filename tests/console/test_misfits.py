"""What of a config only a way forward needs is in no rollback's way."""

from pathlib import Path

from tests.console.test_foreground import Teal
from tests.console.test_literal_looks import BLUE, GREEN
from tests.console.test_orders import written
from tests.console.test_resume import ended
from tests.two_colors import TwoColors


async def test_the_way_back_goes_on_and_the_way_forward_is_refused(tmp_path: Path, service: TwoColors) -> None:
    config = written(service, "")
    teal, good = Teal(tmp_path, config), config.read_text()
    assert (await teal.document("deploy", "flip", "analytics", "-y"))["items"][0]["status"] == "succeeded"
    at = 'name = "analytics"'
    assert at in good
    for line, wrong in (('bake = "-3s"', "bake"), ('bakee = "3s"', "bakee"), ("deploy = 3", "deploy"), ("", "foo")):
        entry = "\n".join(each for each in good.splitlines() if not each.startswith("bake") or not line)
        config.write_text(entry.replace(at, f"{at}\n{line}") if line else f"foo = 1\n{good}")
        code, said = await ended(await teal.start("config", "validate", "--offline"))
        assert (code, wrong in said) == (2, True), said
        code, said = await ended(await teal.start("deploy", "flip", "analytics", "--to", "blue", "-y"))
        assert (code, wrong in said, service.weights()) == (3, True, GREEN), (line, said)
        code, said = await ended(await teal.start("deploy", "rollback", "analytics", "--dry-run"))
        assert code == 0, (line, said)
    rolled = (await teal.document("deploy", "rollback", "analytics", "-y"))["items"][0]
    assert (rolled["status"], service.weights()) == ("succeeded", BLUE)
