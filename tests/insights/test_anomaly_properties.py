"""What holds of whatever runs a job may have."""

from datetime import timedelta
from itertools import pairwise
from math import inf, nan

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_daemon.insights.anomaly import JobWatch
from scheduler_daemon.insights.observation import Observation
from tests.insights.histories import MONDAY

numbers = st.one_of(
    st.floats(), st.sampled_from([0.0, -1.0, 1e-300, 1e300, inf, -inf, nan, 60.0]), st.floats(1, 100)
)  # fmt: skip
whole = st.one_of(st.none(), st.integers(-5, 10**24), st.sampled_from([0, 10**400]))


@st.composite
def runs(draw: st.DrawFn) -> list[Observation]:
    """Runs of any figures, also in the wrong order, many of them alike."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        failed = draw(st.booleans())
        one = Observation(
            job_id="job", run_id=str(number), at=MONDAY + timedelta(seconds=draw(st.integers(-(10**9), 10**9))),
            duration_s=draw(numbers), output_bytes=draw(whole) or 0, memory_bytes=draw(whole),
            cpu_s=draw(st.one_of(st.none(), numbers)), delay_s=draw(st.one_of(st.none(), numbers)), failed=failed,
            outcome="failed" if failed else "succeeded", parent_failed=draw(st.booleans()),
            input_size=draw(st.one_of(st.none(), numbers)),
            kpis=draw(st.dictionaries(st.text(max_size=9), numbers, max_size=9)),
        )  # fmt: skip
        found += [one] * draw(st.integers(1, 30))
    return found


@settings(max_examples=60, deadline=None)
@given(runs(), st.integers(0, 200))
def test_nothing_raises_the_state_stays_small_and_what_is_kept_goes_on_as_if_never_stopped(
    history: list[Observation], cut: int
) -> None:
    watch = JobWatch("job")
    for each in history[:cut]:
        watch.observe(each)
    kept = watch.pack()
    again = JobWatch.unpack("job", kept)

    assert len(kept) < 16_000
    assert [again.observe(each) for each in history[cut:]] == [watch.observe(each) for each in history[cut:]]
    assert again.pack() == watch.pack()


@settings(max_examples=40, deadline=None)
@given(runs())
def test_between_two_alarms_some_runs_were_usual(history: list[Observation]) -> None:
    watch = JobWatch("job")

    told = [place for place, each in enumerate(history) if watch.observe(each)]

    assert all(later - sooner > 5 for sooner, later in pairwise(told))
