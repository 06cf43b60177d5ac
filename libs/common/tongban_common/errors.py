"""The root of all errors that tongban's own code raises, and the root of this distribution's."""

from __future__ import annotations


class TongbanError(Exception):
    """The root: each distribution derives one subclass from it, and its errors from that one.

    `tongban_kafka` knows nothing of tongban and has a root of its own.
    """


class CommonError(TongbanError):
    """The root of the errors of tongban_common."""
