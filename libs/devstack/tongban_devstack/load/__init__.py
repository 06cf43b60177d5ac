"""Load: kiosks that submit at a given rate, and how long their requests take."""

from tongban_devstack.load.kiosks import Load, LoadResult, Target

__all__ = ["Load", "LoadResult", "Target"]
