"""Whether a body can be accepted: first its shape, then what it means, all faults told at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import date
from typing import Any, Protocol

from jsonschema import Draft202012Validator
from pydantic import ValidationError

from tongban_common.catalogue import Item, form_validator
from tongban_common.domain import identity
from tongban_intake.problems import FieldError, Kind, Problem
from tongban_intake.submission import assistance
from tongban_intake.submission.models import Company, Individual, Submission
from tongban_intake.submission.wording import of_model, of_schema
from tongban_intake.text import Text

_KEPT_VALIDATORS = 4000


class Items(Protocol):
    """Where items are found."""

    @property
    def complete(self) -> bool:
        """Whether all that is offered is known: what is missing before that may yet come."""

    def get(self, code: str) -> Item | None:
        """The item as it is offered now."""


class Checker:
    """Checks bodies against the contract and against the items that are offered now."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._validators: OrderedDict[tuple[str, int], Draft202012Validator] = OrderedDict()

    def check(
        self, body: dict[str, Any], *, today: date, signed_in: str | None = None
    ) -> tuple[Submission, Item]:
        """The submission and its item; `signed_in` is the lobby manager who is at the kiosk.

        Raises:
            Problem: 404 for an item that is not offered, 422 with every field that is wrong, 503
                for an unknown item while a starting process is still reading the catalogue.
        """
        try:
            submission = Submission.model_validate(body)
        except ValidationError as error:
            found = of_model(error.errors(include_url=False, include_input=False))
            raise Problem(Kind.INVALID, errors=[*found, *self._form_of(body)]) from None
        item = self._items.get(submission.item_code)
        if item is None and not self._items.complete:
            raise Problem(
                Kind.UNAVAILABLE,
                Text("正在启动，请稍后以同一编号重试", "Starting; try again with the same key"),
                retry_after=1,
            )
        if item is None:
            raise Problem(
                Kind.NOT_FOUND,
                Text(
                    "没有这个事项，或已停止办理", "There is no such item, or it is offered no more"
                ),
                errors=[FieldError("/item_code", Text("没有这个事项", "No such item"))],
            )
        errors = [
            *assistance.problems(submission, signed_in),
            *_meaning(submission, item, today),
            *self.form_errors(item, submission.form),
        ]
        if errors:
            raise Problem(Kind.INVALID, errors=errors)
        return submission, item

    def _form_of(self, body: dict[str, Any]) -> Iterator[FieldError]:
        """What is wrong in the form of a body whose shape is wrong elsewhere: told as well, so
        that a person corrects a page once."""
        code, form = body.get("item_code"), body.get("form")
        item = self._items.get(code) if isinstance(code, str) else None
        if item is not None and isinstance(form, dict):
            yield from self.form_errors(item, form)

    def form_errors(self, item: Item, form: dict[str, Any]) -> Iterator[FieldError]:
        """What is wrong in a form, by JSON Pointers that begin with /form."""
        return of_schema(self._validator(item).iter_errors(form), under="/form")

    def _validator(self, item: Item) -> Draft202012Validator:
        key = (item.code, item.version)
        validator = self._validators.get(key)
        if validator is None:
            validator = self._validators[key] = form_validator(item.form)
            if len(self._validators) > _KEPT_VALIDATORS:
                self._validators.popitem(last=False)
        return validator


def _meaning(submission: Submission, item: Item, today: date) -> Iterator[FieldError]:
    if submission.print and not item.printable:
        yield FieldError("/print", Text("该事项没有可打印的材料", "This item has nothing to print"))
    applicant = submission.applicant
    if not item.audience.admits(applicant.type):
        yield FieldError(
            "/applicant/type",
            Text(
                "该事项仅面向个人" if applicant.type == "company" else "该事项仅面向企业",
                f"This item is for applicants of type {item.audience.value}",
            ),
        )
    if isinstance(applicant, Company):
        for problem in identity.credit_code_problems(applicant.uscc):
            yield FieldError("/applicant/uscc", Text(*problem))
        yield from _individual(applicant.agent, "/applicant/agent", today)
    else:
        yield from _individual(applicant, "/applicant", today)


def _individual(who: Individual, under: str, today: date) -> Iterator[FieldError]:
    if who.id_type == "resident_id":
        problems = identity.resident_id_problems(who.id_number, today=today)
    else:
        problems = identity.id_number_problems(who.id_type, who.id_number)
    for problem in problems:
        yield FieldError(f"{under}/id_number", Text(*problem))
    for problem in identity.mobile_problems(who.phone):
        yield FieldError(f"{under}/phone", Text(*problem))
