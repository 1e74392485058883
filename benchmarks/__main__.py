"""Run the benchmarks one after another and report every figure beside its goal. `make bench`.

`python -m benchmarks [--quick] [name ...]`, the names those of the modules here. Each runs in a process of its own and
prints what it saw; the report at the end says what is met and what is not. Quote ratios, and only from one run.
"""

import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.report import Figure, figures_of, show

END_TO_END = ("burst", "sustained", "latency", "register", "tick", "idle", "masks", "flood", "boxed")
"""These return figures; the others print their own tables, with their goals."""
PARTS = ("next_fire", "table", "cli", "log_sink", "spawn")


def measured(name: str, *, quick: bool) -> list[Figure]:
    """Run one of END_TO_END."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(figures_of, name, quick=quick).result()


def main(words: list[str]) -> int:
    """Run what is named, or all. Returns 1 if a program failed or is not known; a goal not met is no failure."""
    quick = "--quick" in words
    names = [word for word in words if not word.startswith("-")] or [*END_TO_END, *PARTS]
    unknown = set(names) - {*END_TO_END, *PARTS}
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join((*END_TO_END, *PARTS))}")
        return 1
    report: dict[str, list[Figure]] = {}
    failed: list[str] = []
    begun = time.monotonic()
    for name in names:
        print(f"\n== {name}", flush=True)
        if name in PARTS:
            few = ["1"] if quick and name in {"table", "cli"} else ["1000", "2"] if quick and name == "spawn" else []
            if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *few], check=False).returncode:
                failed.append(name)
            continue
        try:
            report[name] = measured(name, quick=quick)
        except Exception as error:  # noqa: BLE001  # one that fails must not hide what the others found
            print(f"failed: {error}")
            failed.append(name)
            continue
        show(report[name])
    _sum_up(report, failed, time.monotonic() - begun)
    return 1 if failed else 0


def _sum_up(report: dict[str, list[Figure]], failed: list[str], seconds: float) -> None:
    if report:
        print("\n== report")
    for name, figures in report.items():
        print(name)
        show(figures)
    judged = [figure.met for figures in report.values() for figure in figures if figure.met is not None]
    print(f"\n{sum(judged)} of {len(judged)} goals met, in {seconds / 60:.1f} min")
    if failed:
        print(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
