"""Find out by trying which protections are in force on this machine, and what would bring the others about.

A process of its own tries them, while the launcher goes on: it starts a job in a box, makes a call that the filter
refuses, and goes beyond limits. What was found is good for an hour, or until somebody asks for it to be found again.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scheduler_daemon.launcher import (
    another,
    boxes,
    bubblewrap,
    cgroups,
    confinement,
    controllers,
    netns,
    seccomp,
)
from scheduler_daemon.launcher.clients import Client
from scheduler_daemon.launcher.command import Unstartable
from scheduler_daemon.launcher.controllers import V2, Groups
from scheduler_daemon.launcher.protocol import Message, encode

Missing = dict[str, str]
"""For each protection by name "" if it is in force, else why it is not and the remedy."""

BOXED = ("files", "processes", "network", "addresses", "seccomp", "privileges")
LIMITED = ("memory", "pids", "cpu")
NAMES = (*BOXED, "kill", *LIMITED, "process_limits")
_GOOD_FOR = 3600.0
_LONGEST = 20
"""Seconds after which the trial is given up."""
_PATIENCE = 4.0
"""Seconds for a box to begin, and for a connection through its gateway."""
_RUN = -1
"""No run has this number."""
_DELEGATE = (
    "run the daemon as a service of systemd 254 or later that may divide its group: "
    "systemd-run -p Delegate=yes -p DelegateSubgroup=daemon chronosd serve"
)
_LOOK = (
    "for n in user mnt pid net; do readlink /proc/self/ns/$n; done; "
    "grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; test -e \"$1\" && echo seen; exit 0"
)
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "15000"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)
"""Settings under /proc/sys, the value with which no account may make user namespaces, and one with which it may."""


class Prober:
    """What is known of this machine, for those who ask."""

    def __init__(self, spool_path: str, group: str | None, limiters: Groups, selector: selectors.BaseSelector) -> None:
        self._spool = spool_path
        self._group = group
        self._limiters = limiters
        self._selector = selector
        self._known: Missing = {}
        self._known_at = 0.0
        self._asking: list[Client] = []
        self._trying = False

    def ask(self, client: Client, *, again: bool) -> None:
        """Tell a client what is missing: now if it is known, else once it is."""
        if self._known and not again and time.monotonic() - self._known_at < _GOOD_FOR:
            client.say(encode({"event": "protections", "missing": self._known}))
            return
        self._asking.append(client)
        if not self._trying:
            self._try()

    def _try(self) -> None:
        heard, telling = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(heard)
            os.close(telling)
            self._take(dict.fromkeys(NAMES, f"could not be tried: {error.strerror}"))
            return
        if pid == 0:
            self._in_child(telling)
        os.close(telling)
        self._trying = True
        self._selector.register(heard, selectors.EVENT_READ, lambda _mask: self._hear(heard))

    def _in_child(self, telling: int) -> None:
        """Keep nothing of the launcher's but the pipe, try, tell and go."""
        try:
            signal.set_wakeup_fd(-1)
            os.closerange(3, telling)
            os.closerange(telling + 1, os.sysconf("SC_OPEN_MAX"))
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.alarm(_LONGEST)
            os.write(telling, json.dumps(missing(self._spool, self._group, self._limiters)).encode())
        except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's frames
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(0)

    def _hear(self, heard: int) -> None:
        text = os.read(heard, 65536)
        self._selector.unregister(heard)
        os.close(heard)
        self._trying = False
        self._take(json.loads(text) if text else dict.fromkeys(NAMES, "could not be tried: the trial did not end"))

    def _take(self, found: Missing) -> None:
        self._known, self._known_at = found, time.monotonic()
        asking, self._asking = self._asking, []
        for client in asking:
            client.say(encode({"event": "protections", "missing": found}))


def missing(spool_path: str, group: str | None, limiters: Groups) -> Missing:
    """Try everything. It takes some tenths of a second, and waits for processes of its own."""
    found = _try_box(spool_path)
    found["addresses"] = found["network"] or _try_gateway(spool_path)
    found["seccomp"] = found["seccomp"] or _try_filter()
    found["kill"] = "" if group is not None or _can_pin() else "this kernel has no pidfd_open: use Linux 5.3 or later"
    for name in LIMITED:
        found[name] = _try_limit(name, limiters)
    found["process_limits"] = "" if _in_fork(_opens_too_much) == 0 else "the kernel does not keep the limit of files"
    return {name: found[name] for name in NAMES}


def _try_box(spool_path: str) -> Missing:
    try:
        with _folder(spool_path) as path:
            return _judge(_look_around(path, Path(spool_path).parent))
    except (Unstartable, OSError) as error:
        return dict.fromkeys(BOXED, _remedy(str(error)))


@contextmanager
def _folder(spool_path: str) -> Iterator[str]:
    path = f"{spool_path}/.probe"
    _remove_folder(path)
    Path(path).mkdir(mode=0o700)
    try:
        yield path
    finally:
        _remove_folder(path)


def _remove_folder(path: str) -> None:
    remover = confinement.remove_folders([path])
    if remover is not None:
        os.waitpid(remover, 0)


def _look_around(path: str, state: Path) -> str:
    """Return what a job in a box sees. Raises Unstartable."""
    pid, out = _start(path, ["/bin/sh", "-c", _LOOK, "sh", str(state)], "none")
    os.waitpid(pid, 0)
    if boxes.told(path).exit_code is None:
        raise Unstartable(boxes.why_not_begun(path))
    return os.pread(out, 4096, 0).decode()


def _start(path: str, command: list[str], network: str | list[str], given: int | None = None) -> tuple[int, int]:
    """Start a command in a box, and return its pid and what it writes to. Raises Unstartable."""
    box: Message = {"files": "system", "read": [], "write": [], "network": network, "scratch_bytes": None}
    box["seccomp"] = seccomp.filter_program() is not None
    request: Message = {
        "id": _RUN,
        "argv": command,
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": "/",
        "umask": 0o022,
        "user": None,
        "box": box,
    }
    out, err = (
        os.open(f"{path}/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in ("stdout", "stderr")
    )
    newborn = confinement.spawn(request, (given, out, err), ("probe", None), path, {}).newborn
    another.wait(newborn)
    return newborn.pid, out


def _try_gateway(spool_path: str) -> str:
    """Speak from the network of a box, as its job could, to an address that is listed and to one that is not."""
    listed, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    ports = [each.getsockname()[1] for each in (listed, other)]
    given, held = os.pipe2(os.O_CLOEXEC)
    try:
        with _folder(spool_path) as path:
            pid, out = _start(path, ["/bin/sh", "-c", "echo begun; read x"], [f"127.0.0.1:{ports[0]}"], given)
            _wait(lambda: os.fstat(out).st_size > 0 or _is_over(pid))
            inner = boxes.told(path).inner
            if inner is None:
                return _remedy(boxes.why_not_begun(path))
            network = os.stat(f"/proc/{inner}/ns/net").st_ino  # noqa: PTH116
            reached, _ = netns.within(inner, network, lambda: (bytes(map(_speaks, ports)), []))
            heard = [_hears(listed, _PATIENCE), _hears(other, 0)]
            warned = Path(path, "stderr").read_text("utf-8", "replace").strip()
    except (Unstartable, OSError) as error:
        return f"no gateway could be made for a box: {error}"
    finally:
        for descriptor in (given, held):
            os.close(descriptor)  # with which the box ends
        listed.close()
        other.close()
    if list(reached) == [True, False] and heard == [True, False]:
        return ""
    why = warned or "a gateway was made, but does not keep to its list"
    return f"{why}: report this with the versions of bubblewrap and the kernel"


def _wait(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)


def _is_over(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _speaks(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), _PATIENCE) as one:
            one.send(b"x")
    except OSError:
        return False
    return True


def _hears(listener: socket.socket, seconds: float) -> bool:
    """Tell whether somebody has spoken to a listener, or does within so long."""
    listener.settimeout(seconds)
    try:
        one, _ = listener.accept()
    except OSError:
        return False
    with one:
        one.settimeout(_PATIENCE)
        return one.recv(1) == b"x"


def _judge(seen: str) -> Missing:
    lines = seen.splitlines()
    apart = dict(zip(("user", "mnt", "pid", "net"), lines[:4], strict=False))
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    powers = {int(status.get(name, "1"), 16) for name in ("CapPrm", "CapEff", "CapBnd")}
    same = {name for name, text in apart.items() if text == os.readlink(f"/proc/self/ns/{name}")}  # noqa: PTH115
    without = "a box was made, but without {}: report this with the versions of bubblewrap and the kernel"
    return {
        "files": without.format("a view of its own") if "mnt" in same or "seen" in lines else "",
        "processes": without.format("a pid namespace") if "pid" in same else "",
        "network": without.format("a network namespace") if "net" in same else "",
        "addresses": "",
        "seccomp": "" if status.get("Seccomp") == "2" else "no filter of system calls for this kernel or processor",
        "privileges": "" if powers == {0} and status.get("NoNewPrivs") == "1" else without.format("losing all rights"),
    }


def _remedy(why: str) -> str:
    """Return why no box could be made, with what to do about it."""
    if bubblewrap.REMEDY in why:
        return why
    for setting, off, on in _SWITCHES:
        try:
            value = Path("/proc/sys", setting).read_text("ascii").strip()
        except OSError:
            continue
        if value == off:
            return f"user namespaces are off: sysctl -w {setting.replace('/', '.')}={on}"
    return f"{why}; see whether this account may make user namespaces: unshare -Ur true"


def _try_filter() -> str:
    program = seccomp.filter_program()
    if program is None:
        return "no filter of system calls is known for this kind of processor"
    return (
        ""
        if _in_fork(lambda: _is_refused(program)) == 0
        else "the kernel does not take filters: use one with CONFIG_SECCOMP_FILTER"
    )


def _is_refused(program: bytes) -> bool:
    """Put the filter on and make a call that does nothing, but is refused by it."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    given = Program(len(program) // 8, program)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.byref(given), 0, 0) != 0:
        return False
    return bool(libc.unshare(0) != 0 and ctypes.get_errno() == errno.EPERM)


def _can_pin() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _try_limit(name: str, limiters: Groups) -> str:
    if name not in limiters and V2 not in limiters:
        return f"no control group with a {name} controller may be made here; {_DELEGATE}"
    trials: dict[str, tuple[Message, Callable[[], bool]]] = {
        "memory": ({"memory_bytes": 16 << 20}, _takes_memory),
        "pids": ({"processes": 1}, _forks),
        "cpu": ({"cpus": 0.05}, _spins),
    }
    limits, exceeds = trials[name]
    try:
        groups = controllers.make(limiters, _RUN, limits, 0)
    except Unstartable as error:
        return str(error)
    try:
        status = _in_fork(lambda: _join(groups) and exceeds())
        if name == "memory":
            held = status == -signal.SIGKILL and controllers.told(groups).get("limit_hit") == "memory"
        elif name == "pids":
            held = status == 0
        else:
            held = controllers.throttled(groups)
        return "" if held else f"the {name} controller does not keep its limit; {_DELEGATE}"
    finally:
        _remove(groups)


def _remove(groups: Groups) -> None:
    for _ in range(100):
        if controllers.remove(groups):
            return
        time.sleep(0.005)


def _join(groups: Groups) -> bool:
    for path in groups.values():
        cgroups.join(path)
    return True


def _takes_memory() -> bool:
    return len(bytearray(os.urandom(1) * (64 << 20))) == 0


def _forks() -> bool:
    try:
        pid = os.fork()
    except BlockingIOError:
        return True
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return False


def _spins() -> bool:
    end = time.monotonic() + 0.25
    while time.monotonic() < end:
        pass
    return True


def _opens_too_much() -> bool:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    try:
        os.open("/", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return error.errno == errno.EMFILE
    return False


def _in_fork(act: Callable[[], bool]) -> int:
    """Return 0 if what was done in a process of its own held, 1 if not, -N if signal N ended it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if act() else 1
        except Exception:  # noqa: BLE001 - it did not hold
            status = 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
