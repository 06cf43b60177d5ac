"""Define and check the body of `POST /v1/requests` (docs/contract.md): first the shape, then the
meaning. All errors are reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field, ValidationError

from tongban_common.catalogue import FormRules, Item
from tongban_common.catalogue.forms import has_lines, partial_schema
from tongban_common.domain import identity
from tongban_common.domain.identity import ID_TYPES
from tongban_intake.http.body import RequestBody
from tongban_intake.lru_cache import PerItem
from tongban_intake.problems import FieldError, Kind, ProblemError
from tongban_intake.submission.values import Path, read_values
from tongban_intake.submission.wording import of_model, of_schema
from tongban_intake.text import Text

Name = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]
IdType = Literal[
    "resident_id", "passport", "hk_macau_permit", "taiwan_permit", "foreign_resident_id"
]
if set(ID_TYPES) != set(IdType.__args__):  # type: ignore[attr-defined]
    raise RuntimeError("the id types of the contract and of the domain differ")


class Individual(RequestBody):
    """A human being with a document and a mobile phone."""

    name: Name
    id_type: IdType
    id_number: str = Field(min_length=1, max_length=32)
    phone: str = Field(min_length=1, max_length=32, description="mobile number, mainland")
    email: str | None = Field(None, max_length=254, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$")


class Person(Individual):
    """A person who applies for himself or herself."""

    type: Literal["person"]

    @property
    def individual(self) -> Individual:
        """The person whose document and phone the applicant gives."""
        return self


class Company(RequestBody):
    """A company, and the person who acts for it."""

    type: Literal["company"]
    name: Name
    uscc: str = Field(min_length=1, max_length=32, description="credit code of GB 32100")
    agent: Individual

    @property
    def individual(self) -> Individual:
        """The person whose document and phone the applicant gives."""
        return self.agent


class Submission(RequestBody):
    """One request: one item, one applicant."""

    item_code: str = Field(max_length=32, description="seventeen digits, after GB/T 39554.1")
    channel: Literal["self_service", "assisted"]
    assistant: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="the lobby manager's id; required where assisted, absent elsewhere",
    )
    applicant: Annotated[Person | Company, Field(discriminator="type")]
    form: dict[str, Any] = Field(description="valid against the item's JSON Schema")
    print: bool | None = Field(
        None, description="default: true if the item is printable; true for any other item is 422"
    )


class Items(Protocol):
    """Finds items on offer; `CatalogueIndex` does."""

    @property
    def complete(self) -> bool:
        """True once the catalogue has been read; before that, an unknown item may be on offer."""

    def get(self, code: str) -> Item | None:
        """Return the item as it is offered now; None where it is not."""


class _ItemRules(NamedTuple):
    """Holds the rules that are compiled once from an item's form."""

    whole: FormRules
    supplement: FormRules
    known: frozenset[str]
    several_lines: frozenset[str]
    integers: frozenset[str]

    @classmethod
    def of(cls, item: Item) -> _ItemRules:
        fields: dict[str, Any] = item.form.get("properties", {})
        return cls(
            FormRules(item.form),
            FormRules(partial_schema(item.form)),
            frozenset(fields),
            frozenset(name for name, schema in fields.items() if has_lines(schema)),
            frozenset(name for name, schema in fields.items() if schema.get("type") == "integer"),
        )


class Checker:
    """Checks bodies against docs/contract.md and the items that are on offer now."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._rules = PerItem(_ItemRules.of)

    def check(
        self, body: dict[str, Any], *, today: date, signed_in: str | None = None
    ) -> tuple[Submission, Item]:
        """Return the submission and its item.

        Args:
            signed_in: id of the lobby manager who has signed in at the kiosk.

        Raises:
            ProblemError: 404, the item is not on offer; 422, with every wrong field; 503, the item
                is unknown and this process is still reading the catalogue.
        """
        body, unfit = self._read(body)
        try:
            submission = Submission.model_validate(body)
        except ValidationError as error:
            found = of_model(error.errors(include_url=False, include_input=False))
            errors = _merged(unfit, found, _numbers_of(body, today), self._form_of(body))
            raise ProblemError(Kind.INVALID, errors=errors) from None
        item = self._items.get(submission.item_code)
        if item is None and unfit:
            raise ProblemError(Kind.INVALID, errors=unfit)
        if item is None and not self._items.complete:
            raise ProblemError(
                Kind.UNAVAILABLE,
                Text("正在启动，请稍后以同一编号重试", "Starting; try again with the same key"),
                retry_after=1,
            )
        if item is None:
            raise ProblemError(
                Kind.NOT_FOUND,
                Text(
                    "没有这个事项，或已停止办理", "There is no such item, or it is offered no more"
                ),
                errors=[FieldError("/item_code", Text("没有这个事项", "No such item"))],
            )
        errors = _merged(
            unfit,
            _assistance(submission, signed_in),
            _meaning(submission, item, today),
            self._form_errors(item, submission.form),
        )
        if errors:
            raise ProblemError(Kind.INVALID, errors=errors)
        return submission, item

    def _read(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """Return the body normalised, and what is wrong with its texts and numbers."""
        code, form = body.get("item_code"), body.get("form")
        if not isinstance(form, dict):
            return read_values(body)
        rest, errors = read_values({name: body[name] for name in body if name != "form"})
        item = self._items.get(code) if isinstance(code, str) else None
        form, unfit = self._read_form(item, form)
        return {**rest, "form": form}, [*errors, *unfit]

    def _read_form(
        self, item: Item | None, form: dict[str, Any]
    ) -> tuple[dict[str, Any], list[FieldError]]:
        """Return the form normalised, and what is wrong with its texts and numbers. A text has one
        line unless the item's schema allows more, and a value like 2.0, which JSON Schema accepts
        as an integer, becomes one."""
        rules = None if item is None else self._rules.of(item)

        def lines(path: Path) -> bool:
            return rules is None or path[0] in rules.several_lines or path[0] not in rules.known

        read, errors = read_values(form, under="/form", lines=lines)
        for name in rules.integers & read.keys() if rules else ():
            if isinstance(read[name], float) and read[name].is_integer():
                read[name] = int(read[name])
        return read, errors

    def _form_of(self, body: dict[str, Any]) -> Iterator[FieldError]:
        """Yield what is wrong in the form of a body whose shape is wrong elsewhere, so that a
        person can correct everything at once."""
        code, form = body.get("item_code"), body.get("form")
        item = self._items.get(code) if isinstance(code, str) else None
        if item is not None and isinstance(form, dict):
            yield from self._form_errors(item, form)

    def _form_errors(self, item: Item, form: dict[str, Any]) -> Iterator[FieldError]:
        """Return what is wrong in a form, with JSON Pointers that begin with /form."""
        rules = self._rules.of(item).whole
        return iter(()) if rules.accepts(form) else of_schema(rules.faults(form), under="/form")

    def supplement(self, item: Item | None, form: dict[str, Any]) -> dict[str, Any]:
        """Return the form of a supplement, normalised. Fields of the item's form must match its
        schema; others are allowed, because a province may ask for them.

        Raises:
            ProblemError: 422, with every wrong field.
        """
        form, unfit = self._read_form(item, form)
        faults = iter(()) if item is None else self._rules.of(item).supplement.faults(form)
        errors = _merged(unfit, of_schema(faults, under="/form"))
        if errors:
            raise ProblemError(Kind.INVALID, errors=errors)
        return form


def _merged(*groups: Iterable[FieldError]) -> list[FieldError]:
    """Concatenate groups of errors, without errors at fields that an earlier group names."""
    errors: list[FieldError] = []
    for group in groups:
        named = {error.pointer for error in errors}
        errors += [error for error in group if error.pointer not in named]
    return errors


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
        yield from _credit_code(applicant.uscc)
    who = applicant.individual
    under = "/applicant" if applicant.type == "person" else "/applicant/agent"
    yield from _id_number(who.id_type, who.id_number, under, today)
    yield from _phone(who.phone, under)


def _numbers_of(body: dict[str, Any], today: date) -> Iterator[FieldError]:
    """Yield what is wrong with the numbers in a body whose shape is wrong elsewhere, as far as they
    can be read."""
    applicant = body.get("applicant")
    if not isinstance(applicant, dict):
        return
    who: Any = applicant
    under = "/applicant"
    if applicant.get("type") == "company":
        who, under = applicant.get("agent"), "/applicant/agent"
        if isinstance(applicant.get("uscc"), str):
            yield from _credit_code(applicant["uscc"])
    if not isinstance(who, dict):
        return
    if who.get("id_type") in identity.ID_TYPES and isinstance(who.get("id_number"), str):
        yield from _id_number(who["id_type"], who["id_number"], under, today)
    if isinstance(who.get("phone"), str):
        yield from _phone(who["phone"], under)


def _credit_code(code: str) -> Iterator[FieldError]:
    for problem in identity.credit_code_problems(code):
        yield FieldError("/applicant/uscc", Text(*problem))


def _id_number(id_type: str, number: str, under: str, today: date) -> Iterator[FieldError]:
    for problem in identity.id_number_problems(id_type, number, today=today):
        yield FieldError(f"{under}/id_number", Text(*problem))


def _phone(phone: str, under: str) -> Iterator[FieldError]:
    for problem in identity.mobile_problems(phone):
        yield FieldError(f"{under}/phone", Text(*problem))


def _assistance(submission: Submission, signed_in: str | None) -> Iterator[FieldError]:
    """Yield what is wrong with `channel` and `assistant` of a submission."""
    named = submission.assistant
    if submission.channel == "self_service":
        if named is not None:
            yield FieldError(
                "/assistant",
                Text("自助办理时不应填写", "Must be absent where the channel is self_service"),
            )
    elif named is None and signed_in is None:
        yield FieldError(
            "/assistant",
            Text(
                "由大堂经理协助办理时，请填写其工号",
                "Required where the channel is assisted and nobody has signed in",
            ),
        )
    elif None not in (named, signed_in) and named != signed_in:
        yield FieldError(
            "/assistant",
            Text("与登录的大堂经理不一致", "Another lobby manager has signed in at this kiosk"),
        )
