"""The key ring: wrapping keys by id, in a file that changes while processes run.

`ring` says what stands in it and how it may change, `file` changes it, and `follow` keeps a
process's ring like its file. `tongban_common.envelope` seals and opens with it.
"""

from tongban_common.keyring.ring import Ring, RingError, WrappingKey

__all__ = ["Ring", "RingError", "WrappingKey"]
