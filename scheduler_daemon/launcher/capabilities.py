"""Give a job without a box some of root's powers though its account is not root: ambient capabilities.

They pass to what the command runs in turn, and are lost where a program changes its account.
"""

from __future__ import annotations

import ctypes
import struct

from scheduler_daemon.launcher.command import Unstartable

NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
"""By their numbers, as the kernel counts them."""
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def keep() -> None:
    """Keep them over the change of account that follows. Raises Unstartable."""
    _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep")


def take(names: tuple[str, ...]) -> None:
    """Have these, and no other, from now on and in what is run. Raises Unstartable where we are not given them."""
    numbers = [NAMES.index(name) for name in names]
    low, high = (sum(1 << number - base for number in numbers if 0 <= number - base < 32) for base in (0, 32))
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", low, low, low, high, high, high))
    _check(_libc.capset(header, data), ", ".join(names))
    for number in numbers:
        _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0), NAMES[number])


def _check(answer: int, what: str) -> None:
    if answer != 0:
        raise Unstartable(
            f"capabilities: {what}: the kernel refuses (error {ctypes.get_errno()}); only root may give them, "
            "and only what it has itself"
        )
