"""The rules of who may import whom, and what a start-up pays for."""

import subprocess
import sys
from pathlib import Path

HEAVY_FOR_A_VERB = ("sqlmodel", "sqlalchemy", "fastapi", "anthropic", "sklearn", "textual", "httpx", "redis")


ROOT = Path(__file__).parents[2]


def modules_after(statement: str, *flags: str) -> set[str]:
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{statement}\nprint('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, *flags, "-c", code], check=True, capture_output=True, text=True)
    return set(ran.stdout.split())


def test_no_module_imports_what_its_layer_may_not() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    ran = subprocess.run([linter, "--no-cache"], check=False, capture_output=True, text=True, cwd=ROOT)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Contracts: " in ran.stdout


def test_a_verb_does_not_pay_for_the_daemon_or_the_app() -> None:
    loaded = modules_after("import chronos_tui.cli")

    assert loaded.isdisjoint(HEAVY_FOR_A_VERB)


def test_the_launcher_loads_the_standard_library_alone() -> None:
    loaded = {name.partition(".")[0] for name in modules_after("import scheduler_daemon.launcher.server", "-I", "-S")}

    assert loaded - {"scheduler_daemon", "__main__"} <= set(sys.stdlib_module_names)
