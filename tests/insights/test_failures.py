"""Which line says why a run failed, what is sent of its output, and which failures are alike."""

import pytest

from scheduler_daemon.insights import failures
from scheduler_daemon.insights.failures import Line, error_line, excerpt, lift, likeness, nearest, vector
from tests.support.secrets import ORDINARY
from tests.support.secrets import lines as secrets


def output(text: str, stream: str = "stdout") -> list[Line]:
    return [Line(number, stream, line) for number, line in enumerate(text.strip("\n").split("\n"), start=1)]


PYTHON = """
start
Traceback (most recent call last):
  File "a.py", line 3, in f
ValueError: bad row
exit status 1"""
COPY = """
copying
cp: cannot create regular file '/x/y': No space left on device
Error: script failed
make: *** [a] Error 1"""
DATABASE = """
ok
psql: error: connection to server at "db" failed: Connection refused
retrying
retrying
giving up"""
COUNTS = """
12 passed, 0 errors
INFO error handler installed
FATAL: out of memory
note: see the log for more details"""
JAVA = """
java.lang.IllegalStateException: no table
	at a.b.C(D.java:3)
	at a.b.E(F.java:4)
exited with code 1"""
RSYNC = """
rsync: [sender] send_files failed to open "/data/x": Permission denied (13)
rsync error: some files/attrs were not transferred (code 23) at main.c(1338) [sender=3.2.7]"""
NODE = """
npm ERR! code ELIFECYCLE
sh: 1: webpack: not found
npm ERR! errno 127
npm ERR! A complete log of this run"""


WORDS = (
    "denied refused timed-out unreachable can't couldn't does-not-exist not-permitted violates undefined usage: E_OOM"
)
SAYS = (
    PYTHON,
    COPY,
    DATABASE,
    COUNTS,
    JAVA,
    NODE,
    RSYNC,
    WORDS.replace(" ", "\n").replace("-", " "),
    "ECONNRESET\nHTTP 503",
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PYTHON, 4),
        (COPY, 2),
        (DATABASE, 2),
        (COUNTS, 3),
        (JAVA, 1),
        (NODE, 2),
        (RSYNC, 1),
        ("working\nstill working", 2),
    ],
)
def test_the_line_that_says_why(text: str, why: int) -> None:
    found = error_line(output(text))

    assert found is not None
    assert found.number == why


def test_no_output_says_nothing() -> None:
    assert error_line([]) is None
    assert error_line(output("\n  \n")) is None


def test_a_line_that_successes_have_too_is_not_the_cause() -> None:
    lines = output("error: bucket is locked\nerror: cannot remove /tmp/x: not found")

    found = error_line(lines, lambda text: 0.95 if "/tmp/x" in text else 0.0)

    assert found is not None
    assert found.number == 1


def test_an_excerpt_has_the_error_and_the_end_and_no_secret() -> None:
    noise = "\n".join(f"step {n} done" for n in range(500))
    lines = output(f"{noise}\nFATAL: disk broken\n{noise}\npassword=hunter2\nbye")

    said = excerpt(lines, most=40)

    assert len(said) <= 40
    assert (501, "FATAL: disk broken") in said
    assert said[-2:] == [(1002, "password=[redacted:secret]"), (1003, "bye")]
    assert [number for number, _ in said] == sorted(number for number, _ in said)


@pytest.mark.parametrize("seed", range(3))
def test_no_secret_of_the_corpus_is_in_an_excerpt(seed: int) -> None:
    for text, hidden in secrets(seed):
        said = "\n".join(line for _, line in excerpt(output(f"before\n{text}\nafter")))

        assert [secret for secret in hidden if len(secret) > 3 and secret in said] == []


def test_a_secret_is_not_cut_in_two_and_half_of_it_shown() -> None:
    said = excerpt(output("x" * 2390 + " ghp_" + "a1B2" * 9))

    assert "ghp_" not in said[0][1]


def test_failures_of_like_words_are_near() -> None:
    told = [
        "could not connect to database shop at 10.0.0.1: connection refused",
        "no space left on device while writing /data/x",
        "connection to database billing at 10.2.0.9 was refused",
    ]
    others = [vector([text]) for text in told[1:]]

    found = nearest(vector([told[0]]), others, most=2)

    assert [at for at, _ in found] == [1, 0]
    assert found[0][1] > 0.5 > found[1][1]
    assert nearest(vector([]), others, 1)[0][1] == 0
    assert nearest(vector(["x"]), [], 3) == []
    assert len(others[0]) == len(vector([])) == 256


def test_lift_is_one_where_failures_and_successes_are_alike() -> None:
    assert lift(50, 100, 500, 1000) == pytest.approx(1, rel=0.02)
    assert lift(20, 20, 0, 1000) > 100


def test_looking_for_parts_first_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [Line(1, "stdout", text) for text in (*ORDINARY, *(line for shape in SAYS for line in shape.split("\n")))]
    quick = [likeness(line) for line in shown]

    monkeypatch.setattr(failures, "_PARTS", ("",))

    assert [likeness(line) for line in shown] == quick
