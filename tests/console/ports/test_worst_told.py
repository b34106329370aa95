"""A service is as bad as the worst of all that is told of it, wherever it is told."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from backends.models import ColorState, Deployment, Truth, TruthLayer, severity_rank
from backends.text import first_line
from console.ports.deployments import DEPLOYMENTS
from panels.kinds.deployments import against, doubts, failures, health

UNKNOWN = "who acts is unknown: journal: no answer"
AT = datetime(2026, 11, 30, 1, 25, 44, tzinfo=UTC)
sides = st.builds(
    ColorState,
    version=st.sampled_from(("2.5.2", "2.5.3")),
    weight_pct=st.sampled_from((None, 0.0, 40.0, 100.0)),
    healthy=st.sampled_from((True, True, False, None)),
    error_pct=st.sampled_from((None, 0.0, 60.0)),
    requests=st.sampled_from((None, 0, 10, 1000)),
    detail=st.just("HTTP 503"),
)
layers = st.builds(TruthLayer, value=st.sampled_from(("blue", "green", "mixed", "unknown")), at=st.just(AT))


@st.composite
def services(draw: st.DrawFn) -> Deployment:
    facts = {name: draw(st.sampled_from((None, name))) for name in ("changed_since", "rejected", "rollback_failed")}
    action = draw(st.sampled_from((None, "01J9ZK3V7F3")))
    open_ = {
        "orphaned_since": draw(st.sampled_from((None, AT))),
        "action_stopped": draw(st.sampled_from(("", "its process is stopped"))),
        "action_held": draw(st.sampled_from(("", "no requests"))),
    }
    return Deployment(
        ref="model/model", backend="model", service="model",
        live=draw(st.sampled_from(("blue", "green", "mixed", "unknown"))),
        colors={"blue": draw(sides), "green": draw(sides)},
        truth=Truth(control=draw(layers), endpoints=draw(layers), data=draw(layers)),
        armed=draw(st.sampled_from(("", "any reload goes to GREEN 100 %"))),
        verified_version=draw(st.sampled_from((None, "2.5.2"))),
        action=action, **facts, **(open_ if action else {}), action_unknown=draw(st.sampled_from(("", UNKNOWN))),
    )  # fmt: skip


def told(item: Deployment) -> list[tuple[str, str]]:
    """How bad each thing is that may be told of it, and by which words it is known."""
    return [
        *((state, first_line(words)) for state, words in against(item)),
        *(("critical", words) for words in failures(item)),
        *(("warning", words) for words in doubts(item)),
        *([("critical", "nobody runs")] if item.orphaned_since else []),
        *([("critical", item.action_stopped)] if item.action_stopped else []),
        *([("warning", "is held")] if item.action_held else []),
        *([("unknown", item.action_unknown)] if item.action_unknown else []),
    ]


@settings(max_examples=1500, deadline=None)
@given(services())
def test_nothing_is_told_as_less_than_it_is(item: Deployment) -> None:
    reading = DEPLOYMENTS.reading
    assert reading is not None
    for where, state, text in [
        ("check", item.health, reading.says(item)),
        ("panel", health(item), " ".join(words for _, words in told(item))),
        *(("timeline", problem.state, problem.text) for problem in reading.problems([item])),
    ]:
        for least, words in told(item):
            assert words not in text or severity_rank(state) <= severity_rank(least), (where, state, words, text)
    # What nobody could read is never ok, and its reason is said where nothing worse is.
    if item.action_unknown:
        assert item.health in ("critical", "unknown")
        assert "no action is open" not in reading.says(item)
