"""The models of the catalogue: provinces, gateways and items."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tongban_common.topics import LONGEST_DEADLINE

_LEAST_DAYS = 7
_DAYS_PER_LEGAL_DAY = 3
"""Calendar days for each working day of the legal limit: weekends, a holiday week, and a margin."""

ProvinceCode = Annotated[str, Field(pattern=r"^[1-6][0-9]0000$")]
"""GB/T 2260 code of a province, autonomous region or municipality: 310000 is Shanghai."""

BasicCode = Annotated[str, Field(pattern=r"^[0-9]{10}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")]


def _written_as_text(value: Any) -> Any:
    """Refuse a time that YAML has read as a number: 17:00 without quotes is 1020."""
    if isinstance(value, int | float):
        raise ValueError('a time of day is written "09:00", with quotes')
    return value


def _without_offset(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("a time of day is China's, without an offset")
    return value


TimeOfDay = Annotated[time, BeforeValidator(_written_as_text), AfterValidator(_without_offset)]


class ItemKind(StrEnum):
    """The kinds of item: a query (查询), an action (办理) or a printed sheet (打印)."""

    QUERY = "query"
    HANDLE = "handle"
    PRINT = "print"


class Zone(StrEnum):
    """The zones in which a kiosk shows an item (专区)."""

    CROSS_PROVINCE = "cross_province"
    YANGTZE_DELTA = "yangtze_delta"
    LOCAL = "local"

    @property
    def name_zh(self) -> str:
        """Return the name on the kiosk's screen."""
        return _ZONE_TITLES[self]


_ZONE_TITLES = {
    Zone.CROSS_PROVINCE: "跨省通办",
    Zone.YANGTZE_DELTA: "长三角",
    Zone.LOCAL: "一网通办",
}


class Audience(StrEnum):
    """The kinds of applicant who may apply."""

    PERSON = "person"
    COMPANY = "company"
    BOTH = "both"

    def admits(self, applicant_type: str) -> bool:
        """Return True if an applicant of type `person` or `company` may apply."""
        return self is Audience.BOTH or self.value == applicant_type


class Mode(StrEnum):
    """The three ways of handling across provinces (国办发〔2020〕35号)."""

    ONLINE = "全程网办"
    AGENCY = "异地代收代办"
    JOINT = "多地联办"


class CatalogueModel(BaseModel):
    """Base of the models: frozen, and a misspelt key is an error instead of a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceWindow(CatalogueModel):
    """Opening hours that repeat each week, in China's time."""

    days: tuple[Annotated[int, Field(ge=1, le=7)], ...]
    """ISO week days, Monday is 1."""
    opens: TimeOfDay
    closes: TimeOfDay
    """Exclusive; 23:59:59.999999 means the end of the day."""


class ServiceHours(CatalogueModel):
    """The hours in which a province handles an item. Outside of them a request is accepted and
    waits.

    They contain no public holidays, which a connector applies by `holidays.py`.
    """

    text: str
    text_en: str
    windows: tuple[ServiceWindow, ...] = ()
    """Empty means round the clock."""

    def is_open(self, at: datetime) -> bool:
        """Return True if open; `at` is business time, aware or in China's time."""
        if not self.windows:
            return True
        moment = at.time()
        return any(
            at.isoweekday() in window.days and window.opens <= moment < window.closes
            for window in self.windows
        )

    def next_opening(self, at: datetime) -> datetime:
        """Return `at` if open, else the next opening, in the time zone of `at`."""
        if self.is_open(at):
            return at
        for ahead in range(9):
            day = at.date() + timedelta(days=ahead)
            openings = [
                opening
                for window in self.windows
                if day.isoweekday() in window.days and (opening := _at(day, window.opens, at)) > at
            ]
            if openings:
                return min(openings)
        raise ValueError(f"service hours {self.text!r} never open")


def _at(day: date, moment: time, like: datetime) -> datetime:
    return datetime.combine(day, moment, tzinfo=like.tzinfo)


class GatewaySettings(CatalogueModel):
    """The address, protocol and limits of a province's gateway (省级平台)."""

    protocol: Literal["rest", "rest_callback", "soap"] = "rest"
    path: str
    """A path below the simulated gateways' base URL, or an absolute URL."""
    rate_per_s: float = Field(200, gt=0)
    """Calls per second of each connector process."""
    concurrency: int = Field(32, gt=0)
    connect_timeout_ms: int = Field(2_000, gt=0)
    read_timeout_ms: int = Field(8_000, gt=0)
    """Time-out between two parts of a response."""
    timeout_ms: int = Field(10_000, gt=0)
    """Time-out of one call; also how long an unclear send may still take effect at the gateway."""
    hours: ServiceHours | None = None
    """None means round the clock."""


class Province(CatalogueModel):
    """A province, autonomous region or municipality of GB/T 2260."""

    code: ProvinceCode
    name: str
    short: str
    """The short name: 安徽, 内蒙古."""
    name_en: str
    municipality: bool = False
    gateway: GatewaySettings
    cities: tuple[str, ...] = Field(min_length=1)
    """Prefectures, or districts of a municipality; the capital comes first."""


class Material(CatalogueModel):
    """A document that the applicant needs for the request."""

    name: str
    name_en: str
    note: str = ""


class TimeLimits(CatalogueModel):
    """Time limits in working days; 0 means at once (即办)."""

    legal_working_days: int = Field(ge=0, strict=True)
    promised_working_days: int = Field(ge=0, strict=True)

    @property
    def time_allowed(self) -> timedelta:
        """Return the business time after which an open request expires.

        It is three times the legal limit, at least a week, at most `topics.LONGEST_DEADLINE`.
        """
        days = max(_LEAST_DAYS, self.legal_working_days * _DAYS_PER_LEGAL_DAY)
        return timedelta(days=min(days, LONGEST_DEADLINE.days))


class Fee(CatalogueModel):
    """The fee of an item, in hundredths of a yuan."""

    amount_fen: int = Field(0, ge=0, strict=True)
    text: str = "不收费"
    text_en: str = "Free of charge"


class ItemDocument(CatalogueModel):
    """The document that an item prints."""

    template: Slug
    title: str
    title_en: str


class Item(CatalogueModel):
    """One service of one province, with all that a kiosk shows and that intake validates.

    It is self-contained: a replica that reads `catalogue.items` needs no other file.
    """

    code: str = Field(pattern=r"^[0-9]{17}$")
    version: int = Field(ge=1)
    """Increases with every change; a request keeps the version of its submission."""
    category: Slug
    name: str
    name_en: str
    province: ProvinceCode
    province_name: str
    department: str
    """The authority that issues the outcome: 安徽省人力资源和社会保障厅."""
    domain: str
    kind: ItemKind
    zones: tuple[Zone, ...] = Field(min_length=1)
    audience: Audience
    mode: Mode
    partner: ProvinceCode | None = None
    """The second province of 多地联办; the item's own province leads."""
    materials: tuple[Material, ...]
    limits: TimeLimits
    fee: Fee
    hours: ServiceHours
    form: dict[str, Any]
    """JSON Schema, draft 2020-12, of a request's `form`."""
    example_form: dict[str, Any]
    example_applicant: dict[str, Any]
    document: ItemDocument | None = None
    usage: int = Field(0, ge=0)
    """Relative frequency of requests. Search lists the most used first."""
    keywords: tuple[str, ...] = ()
    """Everyday words for the item, for search (`synonyms.yaml`)."""
    pinyin: dict[str, str] = {}
    """The pinyin of name, keywords and province, one syllable for each character."""

    @classmethod
    def from_record(cls, value: bytes) -> Item:
        """Return the item of a record of `catalogue.items`.

        Fields that a newer publisher added are ignored, so that replicas of two versions can run
        side by side.

        Raises:
            pydantic.ValidationError: the value is no item.
        """
        return cls.model_validate_json(value, extra="ignore")

    @property
    def printable(self) -> bool:
        """Return True if a completed request is printed."""
        return self.document is not None

    @property
    def title(self) -> str:
        """Return the name with its province, for messages: 安徽省社保缴费证明."""
        return self.province_name + self.name
