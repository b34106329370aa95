"""Which metrics a PromQL query reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.metrics.promql import metric_names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ("up",)),
        ('sum(rate(http_requests_total{color="green",status=~"5.."}[1m])) / sum(rate(http_requests_total[1m]))',
         ("http_requests_total",)),
        ("histogram_quantile(0.95, sum by (le, color) (rate(http_request_duration_seconds_bucket[5m])))",
         ("http_request_duration_seconds_bucket",)),
        ("sum without (instance) (a) + on (job) group_left b", ("a", "b")),
        ("sum (a) by (color) / ignoring(x) group_right(y) b", ("a", "b")),
        ("topk(3, job:errors:rate5m)", ("job:errors:rate5m",)),
        ('{__name__="a_total", x="b"}', ("a_total",)),
        ('{"a.total", x="b"}', ("a.total",)),
        ('{__name__=~"a.*"}', ()),
        ("a offset 5m > bool 1e3 or vector(0) # not_a_metric\n and b @ end()", ("a", "b")),
        ("a{x='it{is}'} unless b{y=`\\`}", ("a", "b")),
        ("rate(a[5m:1m]) * 1h30m + Inf - NaN + 0x1F", ("a",)),
        ("count_values('v', build_info) atan2 c", ("build_info", "c")),
        ("time() - timestamp(a) > 60", ("a",)),
        ("a keep_metric_names default b", ("a", "b")),
        ("sum(", ()),
        ("", ()),
    ],
)  # fmt: skip
def test_names(query: str, names: tuple[str, ...]) -> None:
    assert metric_names(query) == names


@given(st.text(max_size=80))
def test_what_is_no_query_is_read_to_its_end(text: str) -> None:
    assert len(metric_names(text)) <= len(text)


@given(st.text(max_size=30))
def test_a_string_hides_nothing_and_shows_nothing(inside: str) -> None:
    quoted = inside.replace("\\", "\\\\").replace('"', '\\"')
    assert metric_names(f'a{{x="{quoted}"}} or b') == ("a", "b")
