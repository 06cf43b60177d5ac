"""Generate load: kiosks that submit at a given rate, with the latency of their requests."""

from tongban_devstack.load.kiosks import Load, LoadResult, Target

__all__ = ["Load", "LoadResult", "Target"]
