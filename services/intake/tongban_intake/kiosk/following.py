"""Serve the page of a request: progress, documents, and the commands that its state allows.

Knowing the id of a request is not enough to see it. The page is shown during the visit that
submitted it, after proof of being its applicant, or to a signed-in lobby manager.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tongban_common.domain.status import Status
from tongban_common.events.models import SubmissionNote
from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailableError
from tongban_intake.access.tokens import Kiosk
from tongban_intake.api import view
from tongban_intake.api.documents import fetch
from tongban_intake.api.requests import stream_of
from tongban_intake.commands.models import Confirmation, Print, Rating, Supplement
from tongban_intake.kiosk import cleaning, display, fields
from tongban_intake.kiosk.fields import Posted
from tongban_intake.kiosk.proving import ProvingPage
from tongban_intake.kiosk.rendering import PageGroup, Pages
from tongban_intake.kiosk.session import Session, new_key
from tongban_intake.problems import Kind, ProblemError, invalid
from tongban_intake.readmodel.record import RequestRecord
from tongban_intake.services import Services
from tongban_intake.submission import notes
from tongban_intake.text import Text

_MOST_WORDS = 500
_GRADES = {
    5: Text("非常满意", "Very satisfied"),
    4: Text("满意", "Satisfied"),
    3: Text("基本满意", "Fairly satisfied"),
    2: Text("不满意", "Dissatisfied"),
    1: Text("非常不满意", "Very dissatisfied"),
}
_STEPS: tuple[tuple[Text, set[Status]], ...] = (
    (Text("提交", "Submitted"), {Status.SUBMITTED}),
    (Text("送达省份", "Sent"), {Status.ROUTED, Status.WAITING_FOR_PROVINCE, Status.HELD}),
    (Text("省份办理", "In progress"), {Status.ACCEPTED, Status.NEEDS_SUPPLEMENT}),
    (Text("办结", "Done"), set()),
)


def router(services: Services, pages: Pages, session: Session) -> APIRouter:
    """Return the routes of /kiosk/requests/{id} and below."""
    routes = APIRouter(
        prefix="/kiosk/requests/{request_id}",
        include_in_schema=False,
        route_class=session.route_class(),
    )
    request_pages = _RequestPages(services, pages, session)
    proving = ProvingPage(services, pages, session)

    def of_branch(request: Request, request_id: str) -> Kiosk:
        kiosk = session.kiosk(request)
        services.must_be_own(kiosk, request_id)
        return kiosk

    def own(request: Request, request_id: str) -> Kiosk:
        kiosk = of_branch(request, request_id)
        if not session.may_see(request, kiosk, request_id):
            raise ProblemError(
                Kind.FORBIDDEN, Text("请先核实申请人身份", "Prove first to be its applicant")
            )
        return kiosk

    @routes.get("")
    async def show(request: Request, request_id: str, part: bool = False) -> Response:
        kiosk = of_branch(request, request_id)
        if not part and not session.may_see(request, kiosk, request_id):
            return proving.page(kiosk, request_id)
        own(request, request_id)
        return await request_pages.show(kiosk, request_id, part=part)

    @routes.post("/proof")
    async def prove(request: Request, request_id: str) -> Response:
        kiosk = of_branch(request, request_id)
        posted = await session.posted(request, kiosk)
        with request_context(request_id):
            return await proving.prove(request, kiosk, request_id, posted)

    @routes.get("/events")
    async def events(request: Request, request_id: str) -> Response:
        kiosk = own(request, request_id)
        return await stream_of(services, request, kiosk, request_id)

    @routes.get("/documents/{document_id}")
    async def document(request: Request, request_id: str, document_id: str) -> Response:
        own(request, request_id)
        return await fetch(services, request_id, document_id, embedded=True)

    @routes.post("/{kind}")
    async def command(request: Request, request_id: str, kind: str) -> Response:
        kiosk = own(request, request_id)
        posted = await session.posted(request, kiosk)
        with request_context(request_id):
            return await request_pages.publish(kiosk, request_id, kind, posted)

    return routes


class _RequestPages(PageGroup):
    async def show(
        self, kiosk: Kiosk, request_id: str, *, part: bool = False, notice: Text | None = None
    ) -> Response:
        try:
            record, readable = await self._record(request_id), True
        except StoreUnavailableError:
            record, readable = None, False
        seen = self._services.recent.get(request_id)
        shown = seen.notes if seen else ()
        if record is None:
            body = view.not_projected(request_id, seen, display.current().language)
        else:
            # Prefer the notes in memory: only the replica that accepted the request has the id of
            # the other request that a note is about.
            body = view.full(record, self._services.keys, display.current().language)
            shown = shown or tuple(record.notes)
        item = self._services.catalogue_index.get(body["item_code"]) if body["item_code"] else None
        status = Status(body["status"])
        return self.form_page(
            "request_part.html" if part else "request.html",
            kiosk,
            new_key(),
            request=body,
            status=status,
            item=item,
            title=body["item_name"] or (item.name if item else Text("您的办件", "Your request")),
            steps=_steps(record, status),
            notes=_notes(shown, lobby_manager=kiosk.assistant is not None),
            newest=body["timeline"][-1]["seq"] if body["timeline"] else 0,
            grades=_GRADES,
            notice=notice,
            readable=readable,
            supplement_fields=_supplement_fields(item, status),
        )

    async def _record(self, request_id: str) -> RequestRecord | None:
        record = await self._services.read_model.get(request_id)
        return record if record is not None and record.projected else None

    async def publish(self, kiosk: Kiosk, request_id: str, kind: str, posted: Posted) -> Response:
        try:
            await self._publish(kiosk, request_id, kind, posted)
        except ProblemError as problem:
            if problem.kind not in (Kind.CONFLICT, Kind.INVALID, Kind.UNAVAILABLE):
                raise
            return await self.show(kiosk, request_id, notice=_notice(problem))
        return RedirectResponse(f"/kiosk/requests/{request_id}", status_code=303)

    async def _publish(self, kiosk: Kiosk, request_id: str, kind: str, posted: Posted) -> None:
        commands = self._services.commands
        key = posted["key"][0]

        def command(body: dict[str, Any]) -> Any:
            return commands.command(kiosk, request_id, kind, key, body)

        match kind:
            case "withdrawal":
                await commands.withdraw(command({}))
            case "print":
                document = posted.get("document_id", [""])[0] or None
                wanted = Print(document_id=document)
                await commands.print(command(wanted.model_dump()), wanted)
            case "confirmation":
                await self._confirm(kiosk, request_id, key, posted)
            case "rating":
                grade = posted.get("grade", [""])[0]
                if grade not in map(str, _GRADES):
                    raise invalid("/grade", "请选择满意程度", "Choose a grade")
                words = _words(posted, "words") or None
                rating = Rating(grade=int(grade), words=words)
                await commands.rate(command(rating.model_dump()), rating)
            case "supplement":
                form = await self._supplement(request_id, posted)
                await commands.supplement(command({"form": form}), Supplement(form=form))
            case _:
                raise ProblemError(Kind.NOT_FOUND)

    async def _confirm(self, kiosk: Kiosk, request_id: str, key: str, posted: Posted) -> None:
        order_id, printed = (posted.get(name, [""])[0] for name in ("order_id", "printed"))
        if printed not in ("yes", "no"):
            raise invalid("/printed", "请选择纸是否出来了", "Say whether the sheet came out")
        wanted = Confirmation(printed=printed == "yes")
        commands = self._services.commands
        command = commands.command(
            kiosk, request_id, f"confirmation of {order_id}", key, wanted.model_dump()
        )
        await commands.confirm(command, order_id, wanted)

    async def _supplement(self, request_id: str, posted: Posted) -> dict[str, Any]:
        record = await self._record(request_id)
        item = self._services.catalogue_index.get(record.item.code) if record else None
        form = fields.read_form(item, posted) if item else {}
        if remark := _words(posted, "remark"):
            form["remark"] = remark
        if not form:
            raise invalid("/form", "请填写需要补充的内容", "Fill in what is asked for")
        return form


def _words(posted: Posted, name: str) -> str:
    """Return a free text. Its length is checked here, because browsers count a line end as one
    character and send two.

    Raises:
        ProblemError: 422, it is too long; a person would not notice that it was cut.
    """
    words = cleaning.line(posted.get(name, [""])[0])
    if len(words) > _MOST_WORDS:
        raise invalid(f"/{name}", f"最多{_MOST_WORDS}个字", f"At most {_MOST_WORDS} characters")
    return words


def _notice(problem: ProblemError) -> Text:
    """Return what to say above the page about a command that was refused."""
    if problem.detail:
        return problem.detail
    texts = [error.message for error in problem.errors] or [problem.kind.title]
    return Text("、".join(text.zh for text in texts), "; ".join(text.en for text in texts))


def _notes(
    submission_notes: Iterable[SubmissionNote], *, lobby_manager: bool
) -> list[tuple[str, str | None]]:
    """Return the texts of notes, each with a link to the other request for a signed-in lobby
    manager, else None."""
    return [
        (words, f"/kiosk/requests/{other}" if other and lobby_manager else None)
        for note in submission_notes
        for other in [note.other_request_id]
        for words in notes.words([note], display.current().language, lobby_manager=lobby_manager)
    ]


def _supplement_fields(item: Any, status: Status) -> list[fields.Field]:
    if item is None or status is not Status.NEEDS_SUPPLEMENT:
        return []
    return fields.form_fields(item, {}, {}, all_optional=True)


def _steps(record: RequestRecord | None, status: Status) -> list[dict[str, Any]]:
    """Return the steps for the progress bar, each with its state: done, current or ahead."""
    seen = {Status(line["status"]) for line in record.timeline} if record else {Status.SUBMITTED}
    reached = max(
        (index for index, (_, statuses) in enumerate(_STEPS) if seen & statuses), default=0
    )
    last = len(_STEPS) - 1
    if status.final:
        reached = last

    def state(index: int) -> str:
        if index < reached or status is Status.COMPLETED:
            return "done"
        return "current" if index == reached else "ahead"

    return [{"name": name, "state": state(index)} for index, (name, _) in enumerate(_STEPS)]
