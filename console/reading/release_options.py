"""How a service can be moved forward, by its config and its adapter. No I/O."""

from typing import cast

from msgspec import Struct

from actions.judging.stages import DEFAULT_STAGES, STRATEGIES
from backends.deployments.common import shared_settings
from backends.errors import BackendError
from backends.ports import Switch, is_controller
from console.ports.deployments import DEPLOYMENTS
from console.reading.adapters import Adapters


class ReleaseOptions(Struct, frozen=True, kw_only=True):
    """How a service can be moved forward: by which strategies, each with its shares in percent, and how long each of
    those is judged; why no version can be put on a side of it, and why its traffic can not be split (empty where they
    can)."""

    strategies: tuple[str, ...] = ()
    stages: dict[str, tuple[int, ...]] = {}
    stage_s: float = 0.0
    no_deployer: str = ""
    no_split: str = ""


def options_of(backend: str, adapters: Adapters) -> ReleaseOptions:
    """Those of the deployment of that entry."""
    try:
        switch = adapters.of(DEPLOYMENTS, backend)
        common = shared_settings(adapters.entry("deployments", backend).data)
    except BackendError as error:
        why = f"{error.message}; {error.fix}" if error.fix else error.message
        return ReleaseOptions(no_deployer=why, no_split=why)
    if is_controller(switch):
        moves = "its controller moves the traffic, in stages of its own; d releases a version"
        return ReleaseOptions(strategies=("",), no_split=moves)
    switch = cast("Switch", switch)
    none = "nothing puts a version on it: no `deploy` in its config"
    return ReleaseOptions(
        strategies=tuple(dict.fromkeys([*STRATEGIES, *common.stages])) if switch.can_split else STRATEGIES[:1],
        stages={**DEFAULT_STAGES, **common.stages},
        stage_s=common.stage_time,
        no_deployer="" if switch.deployer is not None else none,
        no_split="" if switch.can_split else "its switch moves all traffic at once; f flips it",
    )
