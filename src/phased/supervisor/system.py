"""The few system calls that Python has no name for, through libc. Knows nothing of runs."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_FALLOC_FL_KEEP_SIZE = 1  # linux/falloc.h
_FALLOC_FL_PUNCH_HOLE = 2
_SFD_NONBLOCK_CLOEXEC = 0o2004000
_SIGSET_BYTES = 128  # sizeof(sigset_t) in glibc and musl

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Orphans of our descendants become our children, prctl(2). Raises OSError."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise _error("prctl")


def reserve(descriptor: int, offset: int, length: int) -> None:
    """Reserve disk blocks without changing the file's size, fallocate(2). Raises OSError."""
    _fallocate(descriptor, _FALLOC_FL_KEEP_SIZE, offset, length)


def punch(descriptor: int, offset: int, length: int) -> None:
    """Give back a part of a file to the disk: its size stays, that part reads as zeros. Raises OSError."""
    _fallocate(descriptor, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)


def _fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    done = _libc.fallocate(descriptor, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length))
    if done != 0:
        raise _error("fallocate")


def signal_descriptor(signals: tuple[int, ...]) -> int:
    """Block these signals, and get a descriptor that is readable when one came, signalfd(2)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    bits = 0
    for number in signals:
        bits |= 1 << (number - 1)
    mask = bits.to_bytes(_SIGSET_BYTES, "little")
    descriptor = _libc.signalfd(-1, mask, _SFD_NONBLOCK_CLOEXEC)
    if descriptor < 0:
        raise _error("signalfd")
    return int(descriptor)


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), call)
