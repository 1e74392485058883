"""The engines on data that was made elsewhere: held well within what they were measured to do."""

from pathlib import Path

import numpy as np

from benchmarks.insights import anomalies, failures, nab
from benchmarks.insights.fleet import of_file


def test_anomalies_are_found_and_hardly_any_alarm_is_false(shared: Path) -> None:
    fleet = of_file(shared / "insights" / "jobgen.py", 404, "base")

    f1, _, _, false, (told, missed), _ = anomalies.judged(fleet, {job.number: anomalies.engine(job) for job in fleet})

    assert f1 >= 0.75
    assert false <= 0.3
    assert told == missed > 0


def test_failures_are_foreseen_better_than_by_the_base_rate(shared: Path) -> None:
    past = failures.lived(of_file(shared / "insights" / "jobgen.py", 404, "base"))
    failed, forecast, base, counts = past.failed, past.forecast, past.base, past.counts

    assert failures.auc(failed[counts], forecast[counts]) > failures.auc(failed[counts], base[counts]) + 0.04
    assert failures.ece(failed[counts], forecast[counts]) <= 0.01


def test_the_series_of_nab_are_scored_as_its_description_says(shared: Path) -> None:
    series = list(nab.read(shared / "insights" / "nab"))
    told = [(len(times), spans, nab.alarms(nab.rarities(times, values))) for _, times, values, spans in series]
    perfect = [(count, spans, [(first, 9.0) for first, _ in spans]) for count, spans, _ in told]

    assert nab.score(told, nab.best(told)) >= 45
    assert np.isclose(nab.score(perfect, 0), 100)
    assert nab.score([(count, spans, []) for count, spans, _ in told], 0) == 0
