"""Exit codes of processes and commands (sysexits.h), for supervisors and scripts.

A command also ends with 0 for success, 1 for a check that failed, 2 for a wrong command or option.
"""

from __future__ import annotations

EX_NOINPUT = 66
"""A request, dead letter or file that the command names does not exist."""
EX_UNAVAILABLE = 69
"""A server that is needed does not answer."""
EX_SOFTWARE = 70
"""A process that should run has ended."""
EX_TEMPFAIL = 75
"""A later attempt or a restart may succeed: another process holds what is needed, or the state of
this one can no longer be trusted."""
EX_CONFIG = 78
"""A `TONGBAN_*` variable is wrong (see `tongban_common.settings`)."""
