"""`make bench`: every measurement, each with its ratios."""

from __future__ import annotations

import asyncio

from bench import worker

raise SystemExit(asyncio.run(worker.main()))
