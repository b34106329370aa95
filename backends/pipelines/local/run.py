"""The process of one run: `python -P -m backends.pipelines.local.run PIPELINE RUN_ID DIRECTORY LOCK_FD`.

The URL of the history comes in `TEAL_HISTORY_URL` (it may hold a password) and is not handed on to the tasks. The
descriptor is the held lock of the run (`local_lock`); it is closed by the end of this process, however that comes.
"""

import os
import sys

HISTORY_URL = "TEAL_HISTORY_URL"


def main(arguments: list[str]) -> None:
    """Leave the caller at once, then execute the run. What goes wrong is written to `.runner.log` beside the lock."""
    pipeline, run_id, directory, descriptor = arguments
    if os.fork():
        os._exit(0)  # the run belongs to nobody: the caller has no child to wait for
    os.set_inheritable(int(descriptor), False)

    from pathlib import Path

    from backends.files import open_plain

    os.dup2(open_plain(Path(directory, ".runner.log"), os.O_WRONLY | os.O_APPEND, 0o644), sys.stderr.fileno())

    from backends.pipelines.local.execution import Execution
    from backends.pipelines.local.history import History

    history = History(os.environ.pop(HISTORY_URL))
    Execution(history, pipeline, run_id, Path(directory)).run()
    history.dispose()


if __name__ == "__main__":
    main(sys.argv[1:])
