"""Print how good the insights are, a section after the other, and at the end every figure beside its goal.

usage: python -m benchmarks.insights [SECTION...], or `make bench-insights`. Each section is a module here, runs in a
process of its own, and compares with simpler ways in the same run. All run on data made up by seeds; those that know
collections of others use them too. By the environment: CHRONOS_INSIGHTS_DATA is their folder (else ../shared/insights),
CHRONOS_INSIGHTS_SEEDS the seeds ("303 404" takes twice as long as "303"), CHRONOS_INSIGHTS_JOBS the most jobs.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.insights.given import figures_of, from_environment
from benchmarks.report import Figure, show

SECTIONS = ("anomalies", "nab", "failures", "templates", "moves", "retries", "texts", "analyst")


def main(words: list[str]) -> int:
    """Run what is named, or all. Returns how many failed; a goal that is not met is no failure."""
    unknown = set(words) - set(SECTIONS)
    if unknown:
        print(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
        return 1
    given, begun = from_environment(), time.monotonic()
    print(f"collections of others: {given.data or 'none'}; seeds {', '.join(map(str, given.seeds))}", flush=True)
    report: dict[str, list[Figure]] = {}
    failed = []
    for section in words or SECTIONS:
        print(f"\n== {section}", flush=True)
        since = time.monotonic()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                report[section] = pool.submit(figures_of, section, given).result()
            except Exception as error:  # noqa: BLE001  # one that fails must not hide what the others found
                print(f"failed: {error}")
                failed.append(section)
        print(f"  {time.monotonic() - since:.0f} s", flush=True)
    _sum_up(report, failed, time.monotonic() - begun)
    return len(failed)


def _sum_up(report: dict[str, list[Figure]], failed: list[str], seconds: float) -> None:
    print("\n== report")
    for section, figures in report.items():
        print(section)
        show(figures)
    judged = [figure.met for figures in report.values() for figure in figures if figure.met is not None]
    print(f"\n{sum(judged)} of {len(judged)} goals met, in {seconds / 60:.1f} min")
    if failed:
        print(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
