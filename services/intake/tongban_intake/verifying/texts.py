"""The texts of the public pages, in both languages."""

from __future__ import annotations

from types import SimpleNamespace

from tongban_intake.text import Language, Text

_TEXTS = {
    "title": Text("核验材料真伪", "Verify a document"),
    "brand": Text("通办 · 材料核验", "Tongban · document verification"),
    "other": Text("English", "中文"),
    "lead": Text(
        "输入材料上的 16 位核验码，或选择电子文件，查一查是不是真的。",
        "Type the 16 characters printed on the sheet, or choose its file, to see whether it is"
        " genuine.",
    ),
    "code": Text("核验码", "Verification code"),
    "where": Text("在材料末尾的红框里，例如", "In the red frame at the end of the sheet, such as"),
    "check": Text("核验", "Verify"),
    "file": Text("核验电子文件", "Verify a file"),
    "file_how": Text(
        "文件不会上传：只在您的设备上计算指纹，再比对。",
        "The file is not sent: its fingerprint is made on your device and compared.",
    ),
    "choose": Text("选择 PDF 文件", "Choose a PDF"),
    "genuine": Text("查到了，是签发的材料", "Found: this document was issued"),
    "compare": Text(
        "请与手中的材料逐项对照。有一项不一致，就说明材料被改动过。",
        "Compare each line with your sheet. If one differs, the sheet was altered.",
    ),
    "item": Text("事项", "Service"),
    "issuer": Text("出具单位", "Issued by"),
    "issued_on": Text("出具日期", "Issued on"),
    "holder": Text("持有人", "Holder"),
    "holder_number": Text("证件号码", "Document number"),
    "number": Text("编号", "Number"),
    "pages": Text("页数", "Pages"),
    "fingerprint": Text("文件指纹（SHA-256）", "Fingerprint of the file (SHA-256)"),
    "hidden": Text(
        "为保护持有人，姓名和号码只显示一部分。",
        "Name and numbers are shown in part, to protect the holder.",
    ),
    "destroyed": Text(
        "个人信息已按期销毁，不能再逐项对照。",
        "Personal data was destroyed in due time, so nothing is left to compare.",
    ),
    "have_file": Text("有电子文件？", "Do you have the file?"),
    "same": Text("与签发的文件完全一致", "Identical to the file that was issued"),
    "altered": Text(
        "与签发的文件不一致：被改动过，或不是同一份",
        "Not the file that was issued: it was altered, or is another one",
    ),
    "unknown": Text("没有查到", "Not found"),
    "unknown_why": Text(
        "没有材料使用这个核验码。请核对后重新输入；确认无误仍查不到，这份材料就不是这里签发的，"
        "或者文件被改动过。",
        "No document has this code. Compare it and try again. If it is right, the document was not"
        " issued here, or the file was altered.",
    ),
    "busy": Text("查询的人太多", "Too many requests"),
    "busy_why": Text("请稍等一会儿再试。", "Please try again in a moment."),
    "away": Text("暂时查不了", "Not available now"),
    "away_why": Text(
        "这不说明材料有问题，请过几分钟再试。",
        "This says nothing about your document. Please try again in some minutes.",
    ),
    "again": Text("核验另一份", "Verify another one"),
    "foot": Text(
        "只能核验经跨省通办一体机出具的材料。法律效力以出具单位为准。",
        "Only documents from the kiosks can be verified here. The issuing authority decides on"
        " their effect.",
    ),
}


def texts(language: Language) -> SimpleNamespace:
    """Return all texts in one language, each as an attribute."""
    return SimpleNamespace(**{name: text.in_(language) for name, text in _TEXTS.items()})
