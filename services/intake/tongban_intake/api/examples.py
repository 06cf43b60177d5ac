"""Provide the examples of the OpenAPI document: one request, from submission to sheet."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

REQUEST_ID = "r-06eddpa9a2avpqs5k4s5knmvc5jcw"
DOCUMENT_ID = "7dfe55ca-24d2-5571-a217-2f694b85985e"
_ORDER_ID = "75b25df6-1672-57f4-b5dd-f946558eab31"
_COMMAND_ID = "3b1f1d6e-5f52-5d0a-8a0e-7a0a4f5c9b11"
ITEM_CODE = "34000020140020006"
_SHA256 = "878f71a4c6bde201184418b91b5759a1781602f3ebed36b26922e5f34a1c49f7"
_CODE = "YFR2-2Y5W-J30B-2B2Z"
_KIOSK = "k-310115-001"

RequestId = Annotated[str, Path(description="from the 202", examples=[REQUEST_ID])]
OrderId = Annotated[
    str, Path(description="from `print_orders` of the request", examples=["0a1b2c3d-order"])
]
DocumentId = Annotated[
    str, Path(description="from `documents` of the request", examples=[DOCUMENT_ID])
]
ItemCode = Annotated[
    str, Path(description="seventeen digits, after GB/T 39554.1", examples=[ITEM_CODE])
]
VerificationCode = Annotated[
    str,
    Path(
        description="the sixteen characters on the sheet, with or without dashes, or the "
        "first sixteen hex digits of the file's SHA-256",
        examples=[_CODE],
    ),
]

_FORM = {
    "insured_city": "合肥市",
    "insurance_kind": "企业职工基本养老保险",
    "period_from": "2025-01",
    "period_to": "2025-12",
    "purpose": "贷款",
}
_APPLICANT = {
    "type": "person",
    "name": "张三",
    "id_type": "resident_id",
    "id_number": "340000196204238113",
    "phone": "13800001234",
}
SUBMISSION = {
    "item_code": ITEM_CODE,
    "channel": "self_service",
    "applicant": _APPLICANT,
    "form": _FORM,
    "print": True,
}
TOKEN = {"access_token": "eyJraW9za19pZCI6ImstMSJ9.c2ln", "token_type": "Bearer", "expires_in": 900}
SESSION = {**TOKEN, "assistant": "lm-01"}
SUPPLEMENT = {"form": {"insured_city": "合肥市"}}
RATING = {"grade": 5, "words": "很方便"}

ACCEPTED = {
    "request_id": REQUEST_ID,
    "status": "submitted",
    "status_url": f"/v1/requests/{REQUEST_ID}",
    "events_url": f"/v1/requests/{REQUEST_ID}/events",
    "notes": [],
}
_AT = "2026-03-02T09:00:0{second}.000000+08:00"
_TIMELINE: list[dict[str, Any]] = [
    {"seq": 1, "at": _AT.format(second=0), "status": "submitted", "by": _KIOSK},
    {"seq": 2, "at": _AT.format(second=1), "status": "routed", "by": "router"},
    {"seq": 3, "at": _AT.format(second=2), "status": "completed", "by": "province"},
]
STATE = {
    "request_id": REQUEST_ID,
    "item_code": ITEM_CODE,
    "item_name": "社保缴费证明",
    "item_version": 1,
    "province": "340000",
    "channel": "self_service",
    "status": "completed",
    "submitted_at": _AT.format(second=0),
    "updated_at": _AT.format(second=2),
    "notes": [],
    "timeline": _TIMELINE,
    "outcome": {
        "number": "34000020260302782521",
        "issuer": "安徽省人力资源和社会保障厅",
        "issued_on": "2026-03-02",
        "facts": [{"label": "缴费月数", "value": "12个月"}],
    },
    "documents": [
        {"document_id": DOCUMENT_ID, "title": "社保缴费证明", "pages": 1, "sha256": _SHA256}
    ],
    "print": True,
    "print_orders": [
        {
            "order_id": _ORDER_ID,
            "document_id": DOCUMENT_ID,
            "copy": 1,
            "kiosk_id": _KIOSK,
            "status": "printed",
            "at": _AT.format(second=4),
        }
    ],
    "messages": [
        {"template": "completed", "channel": "sms", "status": "sent", "at": _AT.format(second=3)}
    ],
}
COMMAND_GIVEN = {"request_id": REQUEST_ID, "command_id": _COMMAND_ID}
PRINT_GIVEN = {"request_id": REQUEST_ID, "order_id": _ORDER_ID}
CONFIRMATION = {"printed": True}
CONFIRMATION_GIVEN = {"request_id": REQUEST_ID, "confirmation_id": _COMMAND_ID}
RATING_GIVEN = {"request_id": REQUEST_ID, "rating_id": _COMMAND_ID}
STREAM = (
    f'id: 2\nevent: status\ndata: {{"seq":2,"at":"{_AT.format(second=1)}","status":"routed",'
    '"by":"router"}\n\n'
    f'event: print\ndata: {{"order_id":"{_ORDER_ID}","document_id":"{DOCUMENT_ID}","copy":1,'
    f'"kiosk_id":"{_KIOSK}","status":"printed","at":"{_AT.format(second=4)}"}}\n\n'
    "event: end\ndata: {}\n\n"
)
VERIFIED = {
    "genuine": True,
    "code": _CODE,
    "title": "社保缴费证明",
    "item_code": ITEM_CODE,
    "item_name": "社保缴费证明",
    "province": "340000",
    "issuer": "安徽省人力资源和社会保障厅",
    "issued_on": "2026-03-02",
    "pages": 2,
    "sha256": _SHA256,
    "holder": "张*",
    "holder_number": "310*************15",
    "number": "皖社2026030200817",
    "figures": [{"label": "累计缴费", "value": "36个月"}],
}


def _totals(provinces: int, categories: int, query: int, handle: int, sheets: int) -> Any:
    return {
        "provinces": provinces,
        "categories": categories,
        "items": query + handle + sheets,
        "query": query,
        "handle": handle,
        "print": sheets,
        "domains": 9,
    }


ABOUT = {"service": "tongban-intake", "version": "0.1.0", "environment": "production"}
SUMMARY = {
    "cross_province": _totals(31, 189, 695, 594, 57),
    "yangtze_delta": _totals(4, 20, 40, 36, 4),
    "local": _totals(1, 60, 30, 28, 2),
}
_LISTED = {
    "code": ITEM_CODE,
    "name": "社保缴费证明",
    "name_en": "Certificate of social insurance contributions",
    "province": "340000",
    "province_name": "安徽省",
    "category": "contribution_certificate",
    "domain": "社会保障",
    "kind": "print",
    "zones": ["cross_province"],
    "audience": "both",
    "printable": True,
}
ITEM_PAGE = {"items": [_LISTED], "total": 1, "page": 1, "next_page": None}
ITEM = {
    **_LISTED,
    "version": 1,
    "department": "安徽省人力资源和社会保障厅",
    "partner": None,
    "form": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "社保缴费证明",
        "type": "object",
        "properties": {
            "insured_city": {
                "title": "参保地",
                "x-title-en": "Insured in",
                "description": "缴纳社会保险所在的城市（直辖市选区）",
                "type": "string",
                "enum": ["合肥市", "芜湖市"],
                "examples": ["合肥市"],
            }
        },
        "required": ["insured_city"],
        "additionalProperties": False,
    },
    "example_form": {"insured_city": "合肥市"},
    "example_applicant": _APPLICANT,
    "materials": [
        {"name": "本人有效居民身份证", "name_en": "Your valid resident ID card", "note": "原件"}
    ],
    "limits": {"legal_working_days": 1, "promised_working_days": 0},
    "fee": {"amount_fen": 0, "text": "不收费", "text_en": "Free of charge"},
    "hours": {"text": "全天24小时", "text_en": "Round the clock", "windows": []},
    "mode": "全程网办",
    "document": {
        "template": "contribution_record",
        "title": "社会保险缴费证明",
        "title_en": "Certificate of social insurance contributions",
    },
}
