"""What `own_time` leaves out, and what it counts."""

import multiprocessing
import os
import time

from tests.own_time import Watch


def _busy() -> None:
    while True:
        pass


def test_what_others_take_is_left_out_and_what_one_waits_for_is_not() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    others = [multiprocessing.get_context("fork").Process(target=_busy, daemon=True) for _ in range(3)]
    try:
        for other in others:
            other.start()
        watch, began = Watch(), time.thread_time()
        while time.thread_time() - began < 0.2:
            pass
        whole = watch.seconds()
        assert 0.1 < whole < 0.5, "three others had the core meanwhile"
        time.sleep(0.3)
        assert watch.seconds() - whole > 0.2
    finally:
        os.sched_setaffinity(0, cores)
        for other in others:
            other.kill()
            other.join()
