"""Processes that die with the one that started them, even when that one is killed with -9 (Linux)."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded here and not in the functions: between fork and exec nothing should be imported or allocated that needs a lock.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int, *, signal_number: int = signal.SIGKILL) -> None:
    """Have the kernel send `signal_number` to this process when its parent, `parent_pid`, is gone.

    Lasts over exec, not over fork. The kernel watches the *thread* that forked: start such children
    from a thread that lives as long as they should.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    # RACE: a parent that died before the call sends no signal any more.
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal_number)


def forked_children_die_with_parent() -> None:
    """Make every process forked by this one or its descendants (multiprocessing does) die with its parent."""
    forking_pid = os.getpid()

    def remember_parent() -> None:
        nonlocal forking_pid
        forking_pid = os.getpid()

    os.register_at_fork(before=remember_parent, after_in_child=lambda: die_with_parent(forking_pid))


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent died, so that it can find and end them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
