"""What `teal quality show` says of a dataset below its row: the checks that failed and its trend."""

from backends.models import QualityScore
from console import moment
from console.session import Session
from panels.kinds.quality import freshness_words
from panels.words import dated


def lines(session: Session, score: QualityScore) -> list[str]:
    """One fact a line."""
    zone = session.context.zone
    found = [f"suite       {score.suite}"] if score.suite else []
    found += [f"why         {score.reason}"] if score.reason else []
    found += [f"failed      {failure.check}: {failure.detail}" for failure in score.failures]
    found += [f"no verdict  {error.check}: {error.detail}" for error in score.errors]
    found += [f"freshness   {freshness_words(score.freshness, zone)}"] if score.freshness is not None else []
    found += [f"run         {score.run_ref}"] if score.run_ref else []
    found += [f"source      {score.backend}"]
    found += ["trend       MEASURED  SCORE"] if score.trend else []
    now = moment.utc_now()
    found += [f"            {dated(point.at, zone, now):8}  {point.score:.3f}" for point in score.trend[-12:]]
    return found + [f"linked      {line}" for line in session.impact(score.ref)]
