"""botocore's models of the services, read once a process. Each session would read them anew: 50 to 70 ms of each
client, and megabytes. Imported with botocore only.
"""

import os
from functools import cache
from typing import Any

from botocore.loaders import Loader


def share_models(core: Any) -> None:
    """Make a session of botocore take them from those that were read already, where they are looked for alike."""
    core.lazy_register_component("data_loader", lambda: _models(core.get_config_variable("data_path")))


class _Models(Loader):  # type: ignore[misc]  # botocore has no types
    @property
    def search_paths(self) -> list[str]:
        """Not the list itself: each session of boto3 adds to it where its resources are."""
        return list(super().search_paths)


@cache
def _models(data_path: str | None) -> _Models:
    """`data_path`: as of AWS_DATA_PATH, which the profile may say as well."""
    places = data_path.split(os.pathsep) if data_path else []
    return _Models(extra_search_paths=[os.path.expanduser(os.path.expandvars(place)) for place in places])
