"""List the dashboards."""

from __future__ import annotations

from tools.observability.board_devices import DEVICES
from tools.observability.board_flow import FLOW
from tools.observability.board_process import PROCESS
from tools.observability.board_provinces import PROVINCES

DASHBOARDS = (FLOW, PROVINCES, DEVICES, PROCESS)
