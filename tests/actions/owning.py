"""`python -m tests.actions.owning URL STATE_DIR ACTION TTL_S`: a runner that owns an action with a lease of TTL_S and
writes a line into its history as often as it can. It prints `owns`, and in the end what ended it."""

import asyncio
import sys
from pathlib import Path

from actions.journal.journal import Journal
from actions.journal.lease import LeaseLost, LeaseTimes, owner_file, take
from actions.journal.location import journal_location
from actions.journal.rows import Event
from actions.who import runner_owner
from actions.work import Work


async def own(url: str, state: str, action_id: str, ttl_s: float) -> None:
    times = LeaseTimes(ttl_s=ttl_s, renew_s=ttl_s / 4, self_fence_s=ttl_s * 2 / 3)
    journal = Journal(journal_location(url, {"TEAL_STATE_DIR": state}), times)
    path = owner_file(Path(state), action_id)
    assert take(path) is not None
    hold = await journal.acquire(action_id, runner_owner(str(path)))
    work = Work(journal, hold, await journal.plan(action_id), await journal.history(action_id))
    print("owns", flush=True)
    try:
        while True:
            await journal.write(hold, Event(step="", kind="by-the-old-owner"))
            await asyncio.sleep(0.05)
    except LeaseLost as lost:
        print("LeaseLost", lost, flush=True)
    finally:
        await asyncio.gather(work.stop(ended=True), return_exceptions=True)
        await journal.aclose()


if __name__ == "__main__":
    asyncio.run(own(*sys.argv[1:4], float(sys.argv[4])))
