"""Where the records of a way back are kept while the journal can not be used."""

from pathlib import Path

from actions.journal.late import LateFile, named, places, waiting
from actions.journal.location import JournalLocation
from tests.actions.journals import draft


def test_a_directory_that_somebody_else_made_first_is_not_the_last_place(tmp_path: Path) -> None:
    broken = tmp_path / "journal"
    broken.write_text("")  # a file: no directory can be made in it
    location = JournalLocation(f"sqlite:///{broken}/journal.db", broken / "journal.db", broken, shared=True)
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    planted = tmp_path / "planted"
    planted.symlink_to(tmp_path)
    *_, of_reboot, own = places(location, env)
    assert of_reboot.parent == Path("/var/tmp")
    kept = LateFile([broken / "late", planted, own], location.name, draft())
    assert kept.path is not None
    assert kept.path.parent == tmp_path / "state" / "tealdeck" / "unjournalled"
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert str(kept.path) in named(kept)
    assert waiting(location, env)
