"""What a completed application brings: certificates and answers to queries, in Chinese.

Everything follows from the request, so that every look-up brings the same result.
"""

from __future__ import annotations

from typing import Any

from tongban_devstack.gateways.applications import Application
from tongban_devstack.gateways.provinces import Province


def result_of(application: Application, province: Province) -> dict[str, Any]:
    """`{number, issuer, issued_on, facts: [{label, value}], table: {columns, rows} | None}`."""
    decided_at = application.decided_at() or application.submitted_at
    return {
        "number": f"{application.province}{decided_at:%Y%m%d}{application.request_id[:8]}",
        "issuer": f"{province.name}政务服务中心",
        "issued_on": f"{decided_at:%Y-%m-%d}",
        "facts": [
            {"label": "姓名", "value": application.name},
            {"label": "事项名称", "value": application.item_name},
            {"label": "办理结果", "value": "已办结"},
        ],
        "table": None,
    }
