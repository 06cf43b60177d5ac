"""Exit codes of processes and commands (sysexits.h), for supervisors and for scripts that tell one
failure from another.

Of a command: 0 is done, 1 is a "no" that was asked for (a check that failed), 2 is a wrong command
or option.
"""

from __future__ import annotations

EX_NOINPUT = 66
"""What was named is not there: a request, a dead letter."""
EX_UNAVAILABLE = 69
"""Something that is needed does not answer or cannot be had."""
EX_SOFTWARE = 70
"""A process that should run does not."""
EX_TEMPFAIL = 75
"""Not now, but later or started afresh: another has what is wanted, or what a process holds can no
longer be trusted."""
EX_CONFIG = 78
"""A `TONGBAN_*` variable is wrong; see `tongban_common.settings`."""
