"""Print how good the insights are, a section after the other. `make bench-insights`.

usage: python -m benchmarks.insights [SECTION...]. Each is a module here. All run on data made up by seeds; those that
know collections of others use them too where CHRONOS_INSIGHTS_DATA names their folder, or ../shared/insights is one.
"""

import os
import subprocess
import sys
from pathlib import Path

SECTIONS = {
    "anomalies": ("--jobgen", "jobgen.py"),
    "nab": ("--nab", "nab"),
    "failures": ("--jobgen", "jobgen.py"),
    "templates": ("--loghub", "loghub"),
    "moves": ("--jobgen", "jobgen.py"),
    "retries": None,
    "analyst": None,
}
"""By module: the option that names other data, and the data's name in the folder."""


def main(words):
    """Run what is named, or all. Returns how many failed; a goal that is not met is no failure."""
    unknown = set(words) - set(SECTIONS)
    if unknown:
        print(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
        return 1
    folder = Path(os.environ.get("CHRONOS_INSIGHTS_DATA", Path(__file__).parents[3] / "shared" / "insights"))
    failed = 0
    for section in words or SECTIONS:
        print(f"\n== {section}", flush=True)
        option, given = SECTIONS[section], []
        if option:
            data = folder / option[1]
            given = [option[0], str(data)] if data.exists() else []
            print(f"data of others: {data}" if given else f"there is no {data}: on data made up alone", flush=True)
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.insights.{section}", *given], check=False).returncode
            != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
