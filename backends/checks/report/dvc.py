"""DVC: `dvc status --json` (of stages, or with `-c` of a remote) and `dvc data status --json`.

Sources: https://dvc.org/doc/command-reference/status, https://dvc.org/doc/command-reference/data/status.
"""

from collections.abc import Iterator
from typing import Any

from backends.checks.report.found import Count, Report, example
from backends.errors import BackendError
from backends.http import decode_json
from backends.text import clean

_OF_DATA = frozenset({"committed", "uncommitted", "not_in_cache", "not_in_remote", "untracked", "unchanged", "git"})
_LACKS = frozenset({"not_in_cache", "not_in_remote"})
_FINE = frozenset({"unchanged", "untracked", "git"})
_OF_REMOTE = ("new", "deleted", "missing")
_CHANGES = ("changed deps", "changed outs", "changed command", "changed checksum", "always changed")


def read(body: bytes) -> Report:
    """An empty table is what DVC writes where all is up to date. `missing` is what is not in the cache, or not in the
    remote and here."""
    said = decode_json(body, dict[str, Any], where="DVC")
    is_data = bool(said) and _OF_DATA.issuperset(said)
    found = list(_of_data(said) if is_data else _of_stages(said))
    missing = [name for name, is_missing in found if is_missing]
    changed = [name for name, is_missing in found if not is_missing]
    return Report(
        summary="all is up to date" if not found else "not up to date",
        counts=(
            Count("missing", len(missing), f"{len(missing)} missing{example(missing)}"),
            Count("changed", len(changed), f"{len(changed)} changed{example(changed)}"),
        ),
    )


def _of_stages(said: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for name, what in said.items():
        if what in _OF_REMOTE:
            yield name, what != "new"
        elif isinstance(what, list) and what and all(map(_is_change, what)):
            yield name, False
        else:
            raise BackendError("malformed", f"not a status of DVC: {clean(name, 100)} is no stage and no file")


def _is_change(what: Any) -> bool:
    """As `"changed command"`, or `{"changed deps": {"data": "modified"}}`."""
    words = what if isinstance(what, dict) and what else [what]
    return all(isinstance(word, str) and word in _CHANGES for word in words)


def _of_data(said: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for key, what in said.items():
        if key in _FINE or not what:
            continue
        lists = what.values() if isinstance(what, dict) else [what]
        if not all(isinstance(each, list) for each in lists):
            raise BackendError("malformed", f"not a data status of DVC: {key} is no list of files")
        for each in lists:
            yield from (
                (str(name["new"] if isinstance(name, dict) and "new" in name else name), key in _LACKS) for name in each
            )
