"""Render templates, with the variables that all pages share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from starlette.responses import Response

from tongban_common.domain.status import PrintStatus, Status
from tongban_intake.access.tokens import Kiosk
from tongban_intake.http.static_files import StaticFiles
from tongban_intake.http.templates import templates_of
from tongban_intake.kiosk import display
from tongban_intake.kiosk.session import Session
from tongban_intake.problems import ProblemError
from tongban_intake.services import Services
from tongban_intake.text import PRINT, STATUS, Text

_HERE = resources.files("tongban_intake.kiosk")

ZONES = {
    "cross_province": Text("跨省通办", "Across provinces"),
    "yangtze_delta": Text("长三角一网通办", "Yangtze Delta"),
    "local": Text("上海一网通办", "Shanghai"),
}
ZONE_WORDS = {
    "cross_province": Text("31个省份的事，在这里办", "Services of 31 provinces"),
    "yangtze_delta": Text("沪苏浙皖，一地认证", "Shanghai, Jiangsu, Zhejiang, Anhui"),
    "local": Text("上海本地事项", "Services of the city"),
}
DOMAINS = {
    "社会保障": Text("社会保障", "Social security"),
    "公积金": Text("公积金", "Housing fund"),
    "医疗卫生": Text("医疗卫生", "Health"),
    "档案证明": Text("档案证明", "Records and certificates"),
    "户籍办理": Text("户籍办理", "Household registration"),
    "交管服务": Text("交管服务", "Traffic"),
    "税务服务": Text("税务服务", "Taxes"),
    "公共事业": Text("公共事业", "Utilities"),
    "民政服务": Text("民政服务", "Civil affairs"),
}
KINDS = {
    "query": Text("查询", "Query"),
    "handle": Text("办理", "Apply"),
    "print": Text("打印", "Print"),
}
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Pages:
    """Renders templates."""

    def __init__(
        self,
        *,
        idle_seconds: int,
        assistant_idle_seconds: int,
        touch_keyboard: str,
        printer_trouble: Callable[[str], Text | None],
        sign_out_proof: Callable[[Kiosk], str],
        help_proof: Callable[[Kiosk], str],
        calls_for_help: Callable[[str], bool],
    ) -> None:
        self.static = StaticFiles(_HERE.joinpath("static"), "/kiosk/static")
        self._templates = templates_of("tongban_intake.kiosk")
        self._templates.filters |= {
            "said": display.said,
            "status_name": lambda status: display.said(STATUS[Status(status)]),
            "print_name": lambda status: display.said(PRINT[PrintStatus(status)]),
            "moment": _moment,
        }
        self._templates.globals |= {
            "_": display.translated,
            "display": display.current,
            "default_display": display.DEFAULT,
            "place": display.place,
            "static": self.static.urls,
            "idle_seconds": idle_seconds,
            "assistant_idle_seconds": assistant_idle_seconds,
            "touch_keyboard": touch_keyboard,
            "printer_trouble": printer_trouble,
            "sign_out_proof": sign_out_proof,
            "help_proof": help_proof,
            "calls_for_help": calls_for_help,
            "zones": ZONES,
            "zone_words": ZONE_WORDS,
            "domains": DOMAINS,
            "kinds": KINDS,
        }

    def page(
        self,
        template: str,
        *,
        code: int = 200,
        problem: ProblemError | None = None,
        **context: Any,
    ) -> Response:
        """Render a template: a whole page, or a part of one. A problem, of the last try, sets the
        status and the header Retry-After."""
        body = self._templates.get_template(template).render(problem=problem, **context)
        response = Response(body, status_code=code, media_type="text/html")
        if problem is not None:
            response.status_code = problem.kind.status
            if problem.retry_after is not None:
                response.headers["Retry-After"] = str(problem.retry_after)
        return response

    def problem(self, problem: ProblemError) -> Response:
        """Render an error that ends what the person was doing."""
        return self.page(
            "problem.html",
            problem=problem,
            kiosk=None,
            title=display.said(problem.kind.title),
            detail=display.said(problem.detail) if problem.detail else "",
        )


def _moment(at: str) -> str:
    """Return month, day and time of an ISO 8601 moment, in the language of the page."""
    month, day, time = at[5:7], at[8:10], at[11:16]
    english = f"{int(day)} {_MONTHS[int(month) - 1]} {time}"
    return display.said(Text(f"{month}月{day}日 {time}", english))


class PageGroup:
    """Base of the classes that serve a group of pages: holds the services, the templates and the
    session."""

    def __init__(self, services: Services, pages: Pages, session: Session) -> None:
        self._services = services
        self._pages = pages
        self._session = session

    def form_page(self, template: str, kiosk: Kiosk, key: str, **context: Any) -> Response:
        """Render a page with a form, which posts its Idempotency-Key and the proof of it."""
        proof = self._session.proof(kiosk, key)
        return self._pages.page(template, kiosk=kiosk, key=key, proof=proof, **context)
