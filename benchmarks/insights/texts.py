"""Whether injected logs cause anything, and secrets leave: the corpora of the tests, counted. usage: texts.py"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from benchmarks.insights.given import by_itself
from benchmarks.report import Figure

CORPORA = {
    "injected logs that cause anything": "tests/insights/test_injected_logs.py",
    "secrets that are not redacted, or lines that need not be": "tests/domain/test_redaction.py",
}


def figures(given):
    """Run the tests that hold a corpus each against the real code, and count."""
    del given
    found = []
    for name, path in CORPORA.items():
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", path, "-q", "-p", "no:xdist", f"--junitxml={report}"]
            subprocess.run(command, cwd=Path(__file__).parents[2], check=False, stdout=subprocess.DEVNULL)
            suite = ET.parse(report).getroot()[0]
        bad, tests = int(suite.get("failures")) + int(suite.get("errors")), int(suite.get("tests"))
        found.append(Figure(name, bad, "", 0, note=f"of {tests} checks"))
        print(f"  {name}: {bad} of {tests} checks")
    return found


if __name__ == "__main__":
    by_itself(figures, __doc__)
