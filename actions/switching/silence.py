"""A side that takes its share of fresh requests and answers none: they come to their end without an answer in time.

Such a request names no side. It is known by what is missing: the answers of the side that has the share, by chance in
less than one of ten thousand times, while requests go unanswered as often as that share says.
"""

import itertools
import math

from actions.switching.looks import APART_S
from actions.tally import Tally
from backends.deployments.common import ProbeResult
from backends.text import counted

BY_CHANCE = 1e-4
ENOUGH = 100
AT_LEAST = 2


def silent(seen: Tally, color: str, percent: int) -> str:
    """That `color`, with `percent` of the traffic, has answered nobody since it got that, or since it answered last;
    empty where it has, or where that is not shown. With all traffic it is shown only where somebody had answered
    before: else it may be the load balancer that hangs."""
    if not percent:
        return ""
    answers = list(itertools.takewhile(lambda one: one.color != color and one.named != color, reversed(seen.recent)))
    if percent == 100 and not (seen.answered_before and len(answers) == len(seen.recent)):
        return ""
    unanswered = [one for one in answers if one.color is None and not one.named and one.reached]
    share = percent / 100
    if len(answers) < _enough(share) or len(unanswered) < max(AT_LEAST, share * len(answers) / 2):
        return ""
    if _began(unanswered[0]) - _began(unanswered[-1]) < APART_S:
        return ""
    none = f"none of {counted(len(answers), 'fresh request')} was answered by {color.upper()}, which has {percent} %"
    return f"{none}, and {len(unanswered)} got no answer: {unanswered[0].error}"


def _enough(share: float) -> int:
    """So many requests without an answer of a side with `share` are no chance."""
    return AT_LEAST if share >= 1 else min(ENOUGH, math.ceil(math.log(BY_CHANCE) / math.log(1 - share)))


def _began(one: ProbeResult) -> float:
    return one.at - one.seconds
