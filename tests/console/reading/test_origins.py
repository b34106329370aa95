"""What was seen outlives an edit of the config; what another backend said is told as nobody's, and not passed over."""

from datetime import timedelta
from pathlib import Path

import pytest

from actions.journal.episodes import Episode
from console import moment
from console.config.load import load_config
from console.reading.episode_file import EpisodeFile
from console.reading.origins import kept_as, origins
from console.reading.told_episodes import of_episodes

CONFIG = """[[contexts.prod.alerts]]
type = "prometheus"
metrics = "prom"

[[contexts.prod.checks]]
type = "http"
name = "web"
url = "http://127.0.0.1:1/"

[[contexts.prod.metrics]]
type = "prometheus"
name = "prom"
url = "http://127.0.0.1:2/"
timeout = "1s"
"""
AT = moment.utc_now() - timedelta(minutes=5)


def seen(source: str) -> Episode:
    return Episode(
        source=source, kind="check", ref="r", state="critical", subject="r", text="r down", since=AT, seen_at=AT,
        until=AT + timedelta(minutes=1),
    )  # fmt: skip


def file_of(tmp_path: Path, config: str) -> EpisodeFile:
    path = tmp_path / "config.toml"
    path.write_text(config)
    path.chmod(0o600)
    context = load_config(path, check_entries=False).contexts["prod"]
    return EpisodeFile(tmp_path / "kept", lambda: origins(context.entries, context.base_dir))


@pytest.mark.parametrize(
    ("before", "after", "apart"),
    [
        ('timeout = "1s"', 'timeout = "9s"', []),
        ('name = "web"', 'name = "web"\nwarn = "2s"', []),
        ("[[contexts.prod.checks]]", "[contexts.prod.links]\n[[contexts.prod.checks]]", []),
        (":1/", ":3/", ["checks.web"]),
        ('"web"', '"shop"', ["checks.web"]),
        (":2/", ":3/", ["alerts.prometheus"]),
    ],
)
def test_an_edit_costs_only_what_is_read_elsewhere_since(
    tmp_path: Path, before: str, after: str, apart: list[str]
) -> None:
    assert before in CONFIG
    both = ["alerts.prometheus", "checks.web"]
    file_of(tmp_path, CONFIG).keep([seen(source) for source in both], moment.utc_now())
    edited = file_of(tmp_path, CONFIG.replace(before, after))
    book = edited.read()
    assert [each.source for each in book.episodes] == [source for source in both if source not in apart]
    told = [event for event in of_episodes(book, AT, moment.utc_now()) if event.ref == "elsewhere"]
    assert [event.text for event in told] == [
        f"not told: 1 trouble of {source}, kept by a config that reads it elsewhere" for source in apart
    ]
    assert all(event.kind == "unwatched" for event in told)
    edited.keep([seen("checks.web")], moment.utc_now())  # and nothing of the other is lost by that
    assert {each.source for each in file_of(tmp_path, CONFIG).read().episodes} == set(both)


def test_two_config_files_that_call_a_context_the_same_have_nothing_in_common(tmp_path: Path) -> None:
    first, second = (kept_as("prod", tmp_path / name) for name in ("a.toml", "b.toml"))
    assert first != second
    assert first == kept_as("prod", tmp_path / "a.toml")
