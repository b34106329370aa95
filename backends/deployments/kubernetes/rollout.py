"""How far a Deployment is with what it was told to run.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

import re
from datetime import datetime
from typing import Literal

from backends.deployments.kubernetes.sides import image_of, waiting_words
from backends.kubernetes.api import FIELD_MANAGER
from backends.kubernetes.wire import Pod, Workload
from backends.ports import Rollout

SIZE = "tealdeck.io/replicas"
CRASHES = 2
_NEVER_STARTS = frozenset({"InvalidImageName", "ErrImageNeverPull"})


def judge_rollout(workload: Workload, pods: list[Pod], container: str) -> Rollout:
    """`complete` where the controller has seen the last change and every pod is of it and available. `failed` where a
    container of it crashed twice or can never start, or the deadline of the Deployment ran out since the change."""
    spec, status = workload.spec, workload.status
    desired, ready = spec.replicas, status.ready_replicas
    new = [pod for pod in pods if not pod.is_leaving and _is_of(pod, workload, container)]
    words = f"{min(status.available_replicas, status.updated_replicas)} of {desired} available"

    def say(state: Literal["progressing", "complete", "failed"], detail: str) -> Rollout:
        return Rollout(state=state, detail=detail, ready=ready, desired=desired)

    if broken := _broken(new):
        return say("failed", broken)
    if status.observed_generation < workload.metadata.generation:
        return say("progressing", "the controller has not seen the change yet")
    if spec.paused:
        return say("progressing", "the Deployment is paused")
    if _deadline_exceeded(workload, [pod for pod in pods if not _is_of(pod, workload, container)]):
        return say("failed", f"ProgressDeadlineExceeded: {waiting_words(new) or words}")
    if desired == 0:
        # 0 of 0 is a success of nothing, unless nothing is what was put back.
        meant = workload.metadata.annotation(SIZE) == "0"
        return say("complete" if meant and status.replicas == 0 else "progressing", "scaled to zero")
    whole = status.replicas == status.updated_replicas == status.available_replicas == desired
    if whole:
        return say("complete", words)
    why = waiting_words(new)
    return say("progressing", f"{words}, {why}" if why else words)


def changed_at(workload: Workload) -> datetime | None:
    """When this program wrote it last, by the clock of the API server; None where nobody noted that."""
    times = [
        entry.time
        for entry in workload.metadata.managed_fields or ()
        if entry.manager == FIELD_MANAGER and entry.time is not None
    ]
    return max(times, default=None)


def _is_of(pod: Pod, workload: Workload, container: str) -> bool:
    return image_of(pod.spec.containers, container) == image_of(workload.spec.template.spec.containers, container)


def _broken(pods: list[Pod]) -> str:
    for pod in pods:
        for status in pod.status.container_statuses or ():
            waiting = status.state.waiting if status.state else None
            if waiting is None:
                continue
            crashes = waiting.reason == "CrashLoopBackOff" and status.restart_count >= CRASHES
            if crashes or waiting.reason in _NEVER_STARTS:
                times = f" ({status.restart_count} restarts)" if crashes else ""
                return waiting_words([pod]) + times
    return ""


def _deadline_exceeded(workload: Workload, older: list[Pod]) -> bool:
    """A condition of an earlier change stays until the controller comes to the new one: it is from before that, or it
    names the ReplicaSet of a pod that is not of the new version. (Kubernetes 1.20 leaves the time of a manager that
    writes the same fields again as it was.)"""
    ours = changed_at(workload)
    for one in workload.status.conditions or ():
        if (one.type, one.status, one.reason) == ("Progressing", "False", "ProgressDeadlineExceeded"):
            named = re.search(r'ReplicaSet "([^"]+)"', one.message)
            owners = (owner.name for pod in older for owner in pod.metadata.owner_references or ())
            if named and named[1] in owners:
                return False
            return ours is None or (one.last_update_time is not None and one.last_update_time >= ours)
    return False
