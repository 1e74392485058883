"""Log templates: grouping accuracy and speed, beside drain3. usage: templates.py

The share of lines whose group is exactly a true group, as published parsers are measured. Without LogHub's
`*_2k.log_structured.csv`, plain or gzipped, the lines are those of made-up jobs.
"""

import csv
import gzip
import random
import time
from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

from benchmarks.insights.given import by_itself
from benchmarks.report import Figure
from scheduler_daemon.insights.failures import Line
from scheduler_daemon.insights.templates import Miner
from scheduler_daemon.services.failures import written

DRAIN3_MASKS = (  # those of its own example configuration
    (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
    (r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9A-F]{4} ?){4,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
    (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    (r'(?<=executed cmd )(".+?")', "CMD"),
)
MADE_UP = (
    "pg_dump: error: connection to server at {ip}, port {number} failed: Connection refused",
    "pg_dump: dumping contents of table {word}.{word}",
    "rsync: [sender] send_files failed to open {path}: Permission denied (13)",
    "sent {number} bytes  received {number} bytes  {number}.00 bytes/sec",
    "Traceback (most recent call last):",
    '  File "{path}", line {number}, in {word}',
    "requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='{word}.example.com', port={number})",
    "{time} INFO worker-{number} finished task {id} in {number} ms",
    "{time} WARN worker-{number} retrying task {id}, attempt {number}",
    "{time} ERROR worker-{number} gave up on task {id}: HTTP {number} from {url}",
    "cp: cannot create regular file '{path}': No space left on device",
    "Killed process {number} ({word}) total-vm:{number}kB, anon-rss:{number}kB",
    "exported {number} rows to {path}",
    "user {word} logged in from {ip}",
    "curl: (28) Failed to connect to {word}.example.com port {number} after {number} ms: Timeout",
)


def made_up(seed, lines=2000):
    """Return lines with the number of the template each is of, common ones more often."""
    chance = random.Random(seed)
    words = ["alpha", "orders", "invoices", "root", "deploy", "backup", "www", "metrics", "queue", "mail"]
    found = []
    for _ in range(lines):
        which = min(int(chance.expovariate(0.25)), len(MADE_UP) - 1)
        text = MADE_UP[which]
        for name, value in (
            ("{ip}", lambda: ".".join(str(chance.randrange(256)) for _ in range(4))),
            ("{number}", lambda: str(chance.randrange(100_000))),
            ("{word}", lambda: chance.choice(words)),
            ("{path}", lambda: "/" + "/".join(chance.choices(words, k=chance.randint(1, 5)))),
            ("{id}", lambda: f"{chance.getrandbits(64):016x}"),
            ("{time}", lambda: f"2026-0{chance.randint(1, 9)}-1{chance.randrange(10)}T0{chance.randrange(10)}:15:22Z"),
            ("{url}", lambda: f"https://{chance.choice(words)}.example.com/{chance.randrange(99)}"),
        ):
            while name in text:
                text = text.replace(name, value(), 1)
        found.append((text, str(which)))
    return found


def of_loghub(folder):
    """Yield each set's name and its lines with their event."""
    for path in sorted(folder.glob("*_2k.log_structured.csv*")):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = csv.DictReader(raw.decode().splitlines(keepends=True))
        yield path.name.split("_")[0], [(row["Content"], row["EventId"]) for row in rows]


def accuracy(groups, events):
    """Return the share of lines whose group holds exactly the lines of one event."""
    found, true = defaultdict(set), defaultdict(set)
    for number, (group, event) in enumerate(zip(groups, events, strict=True)):
        found[group].add(number)
        true[event].add(number)
    whole = {frozenset(lines) for lines in true.values()}
    return sum(len(lines) for lines in found.values() if frozenset(lines) in whole) / len(groups)


def ours():
    """Return what names the group of a line."""
    miner = Miner()
    return lambda line: miner.add(line).id


def theirs():
    """Return the same of drain3 with its example's masks, the same for every set."""
    config = TemplateMinerConfig()
    config.masking_instructions = [MaskingInstruction(pattern, mask) for pattern, mask in DRAIN3_MASKS]
    miner = TemplateMiner(config=config)
    return lambda line: miner.add_log_message(line)["cluster_id"]


def learning():
    """Return the milliseconds of processor time that learning from the output of a failed run takes."""
    lines = [line for line, _ in made_up(4, 8000)]
    runs = [[Line(n, "stdout", text) for n, text in enumerate(lines[at : at + 80], 1)] for at in range(0, 8000, 80)]
    row = SimpleNamespace(id=1, job_id="job", ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    miner, before = Miner(), time.process_time()
    for run in runs:
        written(row, run, miner)
    return (time.process_time() - before) * 1000 / len(runs)


def figures(given):
    """Measure, and print both beside each other."""
    folder = given.file("loghub")
    sets = list(of_loghub(folder)) if folder else [(f"made up {seed}", made_up(seed)) for seed in (1, 2, 3)]
    print(f"  {'set':12}{'lines':>7}{'ours':>8}{'drain3':>8}{'ours, lines/s':>16}{'drain3, lines/s':>17}")
    sums, slowest = [0.0, 0.0], float("inf")
    for name, lines in sets:
        cells = []
        for which, make in enumerate((ours, theirs)):
            group = make()
            before = time.process_time()
            groups = [group(line) for line, _ in lines]
            cells.append((accuracy(groups, [event for _, event in lines]), len(lines) / (time.process_time() - before)))
            sums[which] += cells[-1][0]
        (good, fast), (their_good, their_fast) = cells
        slowest = min(slowest, fast)
        print(f"  {name:12}{len(lines):7}{good:8.3f}{their_good:8.3f}{fast:16,.0f}{their_fast:17,.0f}")
    own, other = (total / len(sets) for total in sums)
    print(f"  {'average':19}{own:8.3f}{other:8.3f}")
    return [
        Figure("grouping accuracy, one list of masks", own, "", 0.82, at_least=True, note=f"drain3 {other:.3f}"),
        Figure("lines of the slowest set", slowest, "a s", 3000, at_least=True),
        Figure("learning from a failed run of 80 lines", learning(), "ms"),
    ]


if __name__ == "__main__":
    by_itself(figures, __doc__)
