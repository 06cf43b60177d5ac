"""The key ring of a process, read from a file that changes while the process runs.

`follow` keeps a process's ring equal to its file. What a ring holds and how it may change is in
`tongban_common.wrapping_keys`; `tongban_common.envelope` seals and opens with it.
"""

from tongban_common.wrapping_keys import Ring, RingError, WrappingKey

__all__ = ["Ring", "RingError", "WrappingKey"]
