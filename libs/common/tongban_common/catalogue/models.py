"""What the catalogue consists of: provinces, categories and the items they make together."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tongban_common.topics import LONGEST_DEADLINE

_LEAST_DAYS = 7
_DAYS_PER_LEGAL_DAY = 3
"""Calendar days a working day of the legal limit: weekends, a holiday week, and patience."""

ProvinceCode = Annotated[str, Field(pattern=r"^[1-6][0-9]0000$")]
"""GB/T 2260 code of a province, autonomous region or municipality: 310000 is Shanghai."""

BasicCode = Annotated[str, Field(pattern=r"^[0-9]{10}$")]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")]


def _written_as_text(value: Any) -> Any:
    """YAML reads 17:00 without quotes as the number 1020, and a number counts as seconds."""
    if isinstance(value, int | float):
        raise ValueError('a time of day is written "09:00", with quotes')
    return value


def _without_offset(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("a time of day is China's, without an offset")
    return value


TimeOfDay = Annotated[time, BeforeValidator(_written_as_text), AfterValidator(_without_offset)]


class ItemKind(StrEnum):
    """What an item gives: an answer (查询), an effect (办理) or a sheet of paper (打印)."""

    QUERY = "query"
    HANDLE = "handle"
    PRINT = "print"


class Zone(StrEnum):
    """Where a kiosk shows an item (专区)."""

    CROSS_PROVINCE = "cross_province"
    YANGTZE_DELTA = "yangtze_delta"
    LOCAL = "local"

    @property
    def name_zh(self) -> str:
        """The name on the kiosk's screen."""
        return _ZONE_TITLES[self]


_ZONE_TITLES = {
    Zone.CROSS_PROVINCE: "跨省通办",
    Zone.YANGTZE_DELTA: "长三角",
    Zone.LOCAL: "一网通办",
}


class Audience(StrEnum):
    """Who may apply."""

    PERSON = "person"
    COMPANY = "company"
    BOTH = "both"

    def admits(self, applicant_type: str) -> bool:
        """Whether an applicant of type `person` or `company` may apply."""
        return self is Audience.BOTH or self.value == applicant_type


class Mode(StrEnum):
    """The three ways of handling across provinces (国办发〔2020〕35号)."""

    ONLINE = "全程网办"
    AGENCY = "异地代收代办"
    JOINT = "多地联办"


class CatalogueModel(BaseModel):
    """Frozen and strict about names: a misspelt key is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceWindow(CatalogueModel):
    """Opening hours that repeat each week, in China's time."""

    days: tuple[Annotated[int, Field(ge=1, le=7)], ...]
    """ISO week days, Monday is 1."""
    opens: TimeOfDay
    closes: TimeOfDay
    """Exclusive; 23:59:59.999999 stands for the end of the day."""


class ServiceHours(CatalogueModel):
    """When an item is worked on. Outside of them it is accepted and waits.

    Public holidays are not in it: what a gateway does on a holiday, its connector sees.
    """

    text: str
    text_en: str
    windows: tuple[ServiceWindow, ...] = ()
    """Empty is round the clock."""

    def is_open(self, at: datetime) -> bool:
        """`at` must be aware or already in China's time; the caller's clock is `BusinessClock`."""
        if not self.windows:
            return True
        moment = at.time()
        return any(
            at.isoweekday() in window.days and window.opens <= moment < window.closes
            for window in self.windows
        )

    def next_opening(self, at: datetime) -> datetime:
        """`at` itself when open, else the next moment that is, in the zone of `at`."""
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
    """How a province's own system (省级平台) is reached and how much it can bear."""

    protocol: Literal["rest", "rest_callback", "soap"] = "rest"
    path: str
    """Below the gateways' base address in the simulated outside, else an absolute URL."""
    rate_per_s: float = Field(200, gt=0)
    """For each connector process."""
    concurrency: int = Field(32, gt=0)
    connect_timeout_ms: int = Field(2_000, gt=0)
    read_timeout_ms: int = Field(8_000, gt=0)
    """Between two pieces of an answer."""
    timeout_ms: int = Field(10_000, gt=0)
    """For one call; also how long an unclear send may still take effect at the gateway."""
    hours: ServiceHours | None = None
    """None: round the clock."""


class Province(CatalogueModel):
    """A province, autonomous region or municipality of GB/T 2260."""

    code: ProvinceCode
    name: str
    short: str
    """As people say it: 安徽, 内蒙古."""
    name_en: str
    municipality: bool = False
    gateway: GatewaySettings
    cities: tuple[str, ...] = Field(min_length=1)
    """Prefectures, or districts of a municipality; the capital comes first."""


class Material(CatalogueModel):
    """Something to bring or to have at hand."""

    name: str
    name_en: str
    note: str = ""


class TimeLimits(CatalogueModel):
    """Time limits in working days; 0 is at once (即办)."""

    legal_working_days: int = Field(ge=0, strict=True)
    promised_working_days: int = Field(ge=0, strict=True)

    @property
    def time_allowed(self) -> timedelta:
        """Business time that a request may be open before it expires: thrice the legal limit, a
        week at least, and `topics.LONGEST_DEADLINE` at most."""
        days = max(_LEAST_DAYS, self.legal_working_days * _DAYS_PER_LEGAL_DAY)
        return timedelta(days=min(days, LONGEST_DEADLINE.days))


class Fee(CatalogueModel):
    """What the applicant pays, in hundredths of a yuan."""

    amount_fen: int = Field(0, ge=0, strict=True)
    text: str = "不收费"
    text_en: str = "Free of charge"


class ItemDocument(CatalogueModel):
    """What comes out of the printer."""

    template: Slug
    title: str
    title_en: str


class Item(CatalogueModel):
    """One service of one province: all that a kiosk shows and that intake checks against.

    It stands alone: a replica that has only `catalogue.items` needs no other file.
    """

    code: str = Field(pattern=r"^[0-9]{17}$")
    version: int = Field(ge=1)
    """Grows with every change; a request keeps the version that it was made under."""
    category: Slug
    name: str
    name_en: str
    province: ProvinceCode
    province_name: str
    department: str
    """Who issues the outcome: 安徽省人力资源和社会保障厅."""
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
    """Relative: how often people want it. Search puts the most used first."""
    keywords: tuple[str, ...] = ()
    """Everyday words that mean it, for search (`synonyms.yaml`)."""
    pinyin: dict[str, str] = {}
    """How name, keywords and province are read: syllables, one for each character."""

    @classmethod
    def from_record(cls, value: bytes) -> Item:
        """An item as `catalogue.items` has it. What a newer publisher added is left out, so that
        replicas of two versions can run side by side.

        Raises:
            pydantic.ValidationError: it is no item.
        """
        return cls.model_validate_json(value, extra="ignore")

    @property
    def printable(self) -> bool:
        """Whether a finished request comes out of the printer."""
        return self.document is not None

    @property
    def title(self) -> str:
        """The name with its province, for messages: 安徽省社保缴费证明."""
        return self.province_name + self.name
