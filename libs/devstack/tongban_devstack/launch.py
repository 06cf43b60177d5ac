"""Tie this process to its parent's life, then become the given program.

Run as a script, not imported: `python -I -S launch.py PARENT_PID PROGRAM [ARGUMENT ...]`. The
program keeps this process's pid. A `preexec_fn` would save a second interpreter start, but it runs
Python between fork and exec of a threaded process, which may deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGKILL to this process when the thread that started it ends.

    The setting survives exec. Only Linux has this call: elsewhere, children of a parent that was
    killed with SIGKILL stay and have to be ended by hand.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the call above
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted
