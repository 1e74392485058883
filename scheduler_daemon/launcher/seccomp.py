"""The system calls that a boxed job is refused, as a filter program of the kernel's.

They are those that change what is seen of the machine, reach into other processes, or have been ways out of boxes. A
refused call fails with EPERM; a program of another architecture is killed, for its numbers mean other calls.
"""

from __future__ import annotations

import errno
import functools
import os
import struct
from typing import NamedTuple


class _Machine(NamedTuple):
    """How a kind of processor numbers its calls."""

    architecture: int
    clone: int
    clone3: int
    socket: int
    ioctl: int
    refused: tuple[int, ...]
    highest: int


# In this order: ptrace, process_vm_readv, process_vm_writev, kcmp, keyctl, add_key, request_key, bpf; unshare, setns,
# mount, umount2, pivot_root, chroot, swapon, swapoff; perf_event_open, kexec_load, kexec_file_load, init_module,
# finit_module, delete_module, userfaultfd, reboot; acct, open_by_handle_at, quotactl, syslog.
_X86_64 = _Machine(
    0xC000003E,
    56,
    435,
    41,
    16,
    (
        *(101, 310, 311, 312, 250, 248, 249, 321),
        *(272, 308, 165, 166, 155, 161, 167, 168),
        *(298, 246, 320, 175, 313, 176, 323, 169),
        *(163, 304, 179, 103),
    ),
    0x3FFFFFFF,  # above are the calls of x32
)
_AARCH64 = _Machine(
    0xC00000B7,
    220,
    435,
    198,
    29,
    (
        *(117, 270, 271, 272, 219, 217, 218, 280),
        *(97, 268, 40, 39, 41, 51, 224, 225),
        *(241, 104, 294, 105, 273, 106, 282, 142),
        *(89, 265, 60, 116),
    ),
    0xFFFFFFFF,
)
# The same number everywhere: io_uring_setup, io_uring_enter, io_uring_register, open_tree, move_mount, fsopen,
# fsconfig, fsmount, fspick, mount_setattr, pidfd_getfd.
_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442, 438)

_NEW_NAMESPACE = 0x7E020000
"""The flags CLONE_NEW* of clone(2)."""
_AF_VSOCK = 40
_TYPES_FOR_THE_USER = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX."""

_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
"""Where the call's number, the architecture and the low halves of its first two arguments lie."""
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


@functools.cache
def filter_program() -> bytes | None:
    """Return the filter for this machine, None if we know no numbers for it."""
    machine = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(os.uname().machine)
    return None if machine is None else _program(machine)


def _program(machine: _Machine) -> bytes:
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_GREATER, 0, 1, machine.highest),
        (_RETURN, 0, 0, _EPERM),
    ]
    for number in (*machine.refused, *_EVERYWHERE):
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    # Its flags lie in memory, where no filter can look; programs fall back to clone.
    lines += [(_EQUAL, 0, 1, machine.clone3), (_RETURN, 0, 0, _ENOSYS)]
    lines += _refuse(machine.clone, _FIRST, (_ANY_BIT, _NEW_NAMESPACE))
    lines += _refuse(machine.socket, _FIRST, (_EQUAL, _AF_VSOCK))
    lines += _refuse(machine.ioctl, _SECOND, *((_EQUAL, request) for request in _TYPES_FOR_THE_USER))
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _refuse(number: int, argument: int, *tests: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Refuse a call by one of its arguments. It ends with the number loaded again."""
    body: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, argument)]
    for how, value in tests:
        body += [(how, 0, 1, value), (_RETURN, 0, 0, _EPERM)]
    body.append((_LOAD, 0, 0, _NUMBER))
    return [(_EQUAL, 0, len(body), number), *body]
