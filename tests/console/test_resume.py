"""What `teal action resume` says of an action that stands in conflict: the exit code is what became of it."""

from pathlib import Path

from tests.backends.faulty_server import FaultyServer
from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.two_colors import TwoColors
from tests.warm import Piped


async def ended(process: Piped) -> tuple[int | None, str]:
    said = b"".join(await process.communicate()).decode()
    return process.returncode, said


async def test_a_resume_that_ends_in_the_same_conflict_is_exit_6_and_no_second_notice(
    tmp_path: Path, service: TwoColors
) -> None:
    async with FaultyServer() as receiver:
        hook = f'[[contexts.c.notify]]\ntype = "webhook"\nurl = {{ file = "{tmp_path / "hook"}" }}\n'
        (tmp_path / "hook").write_text(receiver.url)
        (tmp_path / "hook").chmod(0o600)
        config = written(service, hook)
        config.write_text(config.read_text().replace('bake = "200ms"', 'bake = "60s"'))
        teal = Teal(tmp_path, config)
        opened = (await teal.document("deploy", "flip", "analytics", "-y", "--detach"))["items"][0]
        await teal.until(phase="bake")
        service.write({"blue": 50, "green": 50}, stamp="somebody")
        await teal.until(status="conflict")
        code, said = await ended(await teal.start("action", "resume", opened["id"], "-y"))
        assert (code, "changed by somebody else" in said) == (6, True)
        for _ in range(2):
            resumed = await teal.document("action", "takeover", opened["id"], "-y")
            assert resumed["items"][0]["status"] == "conflict"
        told = [request.body for request in receiver.requests]
        assert [b'"started"' in told[0], b'"failed"' in told[1], len(told)] == [True, True, 2]
        service.write({"blue": 0, "green": 100}, stamp=f"{opened['id']}:shift")
        code, said = await ended(await teal.start("action", "resume", opened["id"], "-y"))
        assert (code, "running" in said) == (0, True)
        code, _ = await ended(await teal.start("deploy", "rollback", "analytics", "-y"))
        assert code == 0


async def test_an_action_in_conflict_that_is_abandoned_says_so_and_has_nothing_to_undo(
    tmp_path: Path, service: TwoColors
) -> None:
    config = written(service, "")
    config.write_text(config.read_text().replace('bake = "200ms"', 'bake = "60s"'))
    teal = Teal(tmp_path, config)
    opened = (await teal.document("deploy", "flip", "analytics", "-y", "--detach"))["items"][0]
    await teal.until(phase="bake")
    service.write({"blue": 50, "green": 50}, stamp="somebody")
    await teal.until(status="conflict")
    code, said = await ended(await teal.start("action", "abandon", opened["id"], "-y", "--reason", "by hand"))
    assert (code, "abandoned" in said, "undo" in said) == (0, True, False)
