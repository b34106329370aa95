"""Records `docs/kubernetes-session.txt`: a release by shares over an HTTPRoute and the way back, by the real commands,
on a real control plane, under load. `python -m docs.recorded_route` needs what tests/live/kubernetes.py needs."""

import asyncio
import os
import tempfile
from pathlib import Path

from docs.recorded import HOME_WORDS, run_shown
from tests.live.kubernetes import cluster
from tests.live.routes import routed
from tests.live.teal import CommandLine
from tests.load import Load

SESSION = Path(__file__).parent / "kubernetes-session.txt"
STAGED = {"stages": {"gradual": [10, 50, 100]}, "stage_time": "3s", "bake": "3s"}
COMMANDS = (
    "teal deploy status analytics",
    "teal deploy release analytics --version 2.5.0 --strategy gradual --dry-run",
    'teal deploy release analytics --version 2.5.0 --strategy gradual -y --reason "2.5.0: go" --detach',
    "teal action watch",
    'teal deploy rollback analytics -y --reason "orders look odd"',
    "teal deploy status analytics",
)


async def main() -> None:
    """There by 10, 50 and 100 percent, and back at once."""
    with (
        tempfile.TemporaryDirectory(prefix="teal-") as home,
        cluster(Path(home)) as found,
        routed(found, "gateway-api", replicas=2) as space,
    ):
        CommandLine(Path(home), {"type": space.kind, **space.config(**STAGED)})
        env = {**os.environ, "TEAL_CONFIG": f"{home}/config.toml", "TEAL_STATE_DIR": f"{home}/state"}
        env |= {"NO_COLOR": "1", "TEAL_CONTEXT": "test"}
        async with Load(space.url(path="/work"), 20):
            session = [await asyncio.to_thread(run_shown, command, env) for command in COMMANDS]
        text = HOME_WORDS.sub("/run", "\n".join(session))
        SESSION.write_text(text.replace(space.name, "analytics").replace(str(found.kubeconfig), "~/.kube/config"))


if __name__ == "__main__":
    asyncio.run(main())
