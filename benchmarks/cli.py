"""What a verb of the command line costs in CPU, beside a bare Python and Typer alone, in one run.

`python -m benchmarks.cli [rounds]` starts a daemon on a directory of its own. CPU is user and system time of the
verb's own process, medians of interleaved rounds; the ratios mean more than the milliseconds.
"""

import os
import statistics
import subprocess
import sys

from tests.support.daemon import running_daemon

GOAL_MS = 250
JOBS = 100


def cpu_ms(words: list[str], environ: dict[str, str]) -> float:
    """Run a program to its end and return its CPU time in ms. Raises RuntimeError if it fails."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environ) as program:
        _, status, used = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        raise RuntimeError(f"{words} ended with {program.returncode}")
    return (used.ru_utime + used.ru_stime) * 1000


def main(rounds: int = 7) -> None:
    with running_daemon({"CHRONOS_INSIGHTS": "true"}) as daemon:
        lines = "".join(f"{n % 60} {n % 24} * * * echo {n}\n" for n in range(JOBS))
        daemon.json("import", "crontab", "-", stdin=lines)
        daemon.json("job", "add", "quick", "--", "true")
        verb = [sys.executable, "-m", "chronos_tui", "--state", str(daemon.state)]
        programs = {
            "bare python": [sys.executable, "-c", "pass"],
            "typer alone": [sys.executable, "-c", "import typer"],
            f"job list --json ({JOBS} jobs)": [*verb, "job", "list", "--json"],
            "run": [*verb, "run", "quick", "--json"],
            "next": [*verb, "next", "*/5 9-17 * * 1-5"],
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, words in programs.items():
                if name == "run":
                    daemon.json("runs", "list", "--job", "quick", "--limit", "1")  # the last one has ended by then
                times[name].append(cpu_ms(words, daemon.environ))
    bare = statistics.median(times["bare python"])
    print(f"{'program':28} {'CPU ms':>7} {'/bare':>6} {'/goal':>6}")
    for name, samples in times.items():
        median = statistics.median(samples)
        print(f"{name:28} {median:7.0f} {median / bare:6.1f} {median / GOAL_MS:6.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
