"""`tongban catalogue check`: every rule, with the line it points to."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tongban_common.catalogue import CatalogueError, find_directory
from tongban_common.catalogue.provinces import VARIABLE
from tongban_common.catalogue.yamlfile import line_of, read
from tongban_ops.catalogue.checks import check
from tongban_ops.catalogue.loader import Sources, load, load_items
from tongban_ops.catalogue.publish import compare
from tongban_ops.cli.main import application
from tongban_printing.domain.contents import TEMPLATES

ORIGINAL = Path(__file__).parents[3] / "catalogue"
SOCIAL = "zones/cross_province/social_security.yaml"
LOCAL_TAX = "zones/local/tax.yaml"
OVERRIDE = "overrides: {北京: {"
CERTIFICATES = "zones/cross_province/certificates.yaml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ORIGINAL, tmp_path / "catalogue"))


@pytest.fixture
def small(copy: Path) -> Path:
    """A copy with few categories: quick to check, though its totals are wrong."""
    kept = {copy / SOCIAL, copy / CERTIFICATES, copy / LOCAL_TAX}
    for file in copy.glob("zones/*/*.yaml"):
        if file not in kept:
            file.unlink()
    return copy


def change(copy: Path, name: str, old: str, new: str) -> int:
    """Replace the first `old` in a file of the copy; its line."""
    file = copy / name
    text = file.read_text(encoding="utf-8")
    before, found, after = text.partition(old)
    assert found, f"{name} has no {old!r}"
    file.write_text(before + new + after, encoding="utf-8")
    return before.count("\n") + 1


def test_committed_catalogue_passes_its_checks() -> None:
    report = check(ORIGINAL)
    assert report.ok, "\n".join(map(str, report.problems))
    assert report.summary == load(ORIGINAL).summary()


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        # shape
        (SOCIAL, "kind: query", "kind: quiz", "kind: Input should be"),
        (SOCIAL, "usage: 900", "usgae: 900", "usgae: Extra inputs are not permitted"),
        (SOCIAL, 'code: "2014001000"', "code: 2014001000", "code: Input should be a valid string"),
        (SOCIAL, "usage: 900", "usage: 900\n    usage: 901", "'usage' stands here twice"),
        (SOCIAL, "domain: 社会保障", "domain: [社会保障", "did not find expected"),
        ("provinces.yaml", 'code: "110000"', 'code: "110100"', "code: String should match pattern"),
        # references
        (SOCIAL, "fields: [insured_city", "fields: [insured_town", "insured_town"),
        (SOCIAL, "[id_card, social_card]", "[id_card, gold_card]", "'gold_card' is not"),
        (SOCIAL, "provinces: [山东, 四川]", "provinces: [山东, 河内]", "'河内' is no province"),
        (SOCIAL, "provinces: [山东, 四川]", "provinces: [山东, 山东]", "'山东' is named twice"),
        (SOCIAL, "partner: 上海", "partner: 海上", "'海上' is no province"),
        (SOCIAL, "domain: 社会保障", "domain: 社会保险", "'社会保险' is no domain"),
        (
            SOCIAL,
            "hours: always\n    provinces",
            "hours: never\n    provinces",
            "'never' is not in",
        ),
        (
            SOCIAL,
            "    provinces: [山东, 四川]",
            "    overrides: {西藏: {hours: office}}\n    provinces: [山东, 四川]",
            "西藏 does not offer this",
        ),
        # codes
        (SOCIAL, 'code: "2014001000"', 'code: "9914001000"', "type of matter"),
        (SOCIAL, 'code: "2014001000"', 'code: "2036001000"', "department's: 14"),
        (SOCIAL, 'code: "2014005000"', 'code: "2014004000"', "'2014004000' is taken"),
        (SOCIAL, "id: social_card_password", "id: social_card_activation", "is taken"),
        (SOCIAL, "name: 社保卡密码重置", "name: 社保卡激活", "'社保卡激活' is taken"),
        ("provinces.yaml", 'path: "/p/120000"', 'path: "/p/110000"', "stands twice"),
        # terms
        (SOCIAL, "promised_working_days: 15", "promised_working_days: 60", "more days are"),
        (SOCIAL, "mode: 多地联办", "mode: 全程网办", "go together"),
        ("terms.yaml", 'closes: "17:00"', 'closes: "08:00"', "closes before it opens"),
        ("fields.yaml", "title: 险种", "title: Insurance", "no Chinese title"),
        ("fields.yaml", "format: date\n", "format: 7\n", "no JSON Schema"),
        ("fields.yaml", "format: date\n", 'format: date\n    pattern: "(?=2)"\n', "no JSON Schema"),
        ("fields.yaml", "format: date\n", 'format: date\n    pattern: "[0-9"\n', "no JSON Schema"),
        ("fields.yaml", 'examples: ["A12345678"]', 'examples: [a12345678]', "does not match"),
        ("terms.yaml", "  lease: {", "  gold: {name: 金, name_en: Gold}\n  lease: {", "gold is"),
        ("synonyms.yaml", "五险: [社保, 参保]", "五险: [社保, 六险]", "no name has '六险'"),
        # what is published
        ("published.yaml", "items: 1346", "items: 1347", "1347 items are published"),
        ("published.yaml", "province: 海南", "province: 西藏", "西藏 does not offer"),
        ("published.yaml", "  cross_province:", "  local:", "no totals of cross_province"),
        (
            LOCAL_TAX,
            "    provinces: [上海]",
            "    provinces: [江苏]",
            "zone local has not all of these",
        ),
        # what the shape allows and nothing could work with
        (SOCIAL, "usage: 900", 'usage: "900"', "usage: Input should be a valid integer"),
        (SOCIAL, "usage: 900", "usage: true", "usage: Input should be a valid integer"),
        ("fields.yaml", "title: 险种", "title: 5", "title must be text"),
        ("fields.yaml", 'examples: ["A12345678"]', "examples: A12345678", "examples is no list"),
        ("fields.yaml", 'examples: ["A12345678"]', "examples: 5", "examples is no list"),
        (SOCIAL, "enum: [上海市]", "enum: 上海市", "enum is no list"),
        (SOCIAL, "enum: [上海市]", "enum: 5", "enum is no list"),
        (SOCIAL, "enum: [上海市]", "enum: [河内市]", "nothing to choose from"),
        ("fields.yaml", "    format: mobile", "    format: mobil", "format is one of"),
        ("fields.yaml", "    x-values: cities", "    x-values: towns", "x-values is one of"),
        ("fields.yaml", "    x-values: cities", "    x-values: [cities]", "x-values is one of"),
        ("fields.yaml", "    enum: [遗失", '    $ref: "#/gone"\n    enum: [遗失', "leads nowhere"),
        ("terms.yaml", 'closes: "17:00"', "closes: 17:00", "with quotes"),
        ("terms.yaml", 'opens: "09:00"', 'opens: "09:00+08:00"', "without an offset"),
        ("terms.yaml", "days: [1, 2, 3, 4, 5]", "days: []", "closes before it opens"),
        ("domains.yaml", "domains:", "? [a, b]\n: 1\ndomains:", "a key must be a word"),
        ("holidays.yaml", "to: 2026-10-07", "to: 2026-13-07", "month must be in 1..12"),
        # what nobody could have meant
        (SOCIAL, "usage: 900", "usage: 900\n    fee: {amount_fen: 1000}", "1000 fen are no fee"),
        (SOCIAL, "name: 社保参保信息查询", 'name: ""', "a name is Chinese"),
        (SOCIAL, "name: 社保参保信息查询", 'name: "社保 参保"', "a name is Chinese"),
        (SOCIAL, "name_en: Social insurance enrolment", 'name_en: " "', "English name is empty"),
        (SOCIAL, "provinces: [山东, 四川]", "provinces: []", "no province offers it"),
        (SOCIAL, "template: certificate", "template: diploma", "nothing is printed from 'diploma'"),
        (
            SOCIAL,
            "provinces: all",
            f"{OVERRIDE}mode: 多地联办}}}}\n    provinces: all",
            "go together",
        ),
        (
            SOCIAL,
            "provinces: all",
            f"{OVERRIDE}limits: {{legal_working_days: 1, promised_working_days: 9}}}}}}\n"
            "    provinces: all",
            "more days are promised",
        ),
        (SOCIAL, "provinces: all", f"{OVERRIDE}department: tax}}}}\n    provinces: all", "than 30"),
        (
            SOCIAL,
            "provinces: all",
            f"{OVERRIDE}fields: [city, city]}}}}\n    provinces: all",
            "'city' stands twice",
        ),
        ("provinces.yaml", "东城区, 西城区", "东城区, 东城区", "'东城区' stands twice"),
        ("synonyms.yaml", "五险: [社保, 参保]", "五险: []", "stands for nothing"),
        ("synonyms.yaml", "长三角: chang san jiao", "长三角: chang san", "for each character"),
    ],
)  # fmt: skip
def test_each_mistake_is_reported_with_its_line(
    small: Path, name: str, old: str, new: str, told: str
) -> None:
    line = change(small, name, old, new)
    problems = check(small).problems
    found = [problem for problem in problems if told in problem.message]
    assert found, [str(problem) for problem in problems]
    lines = {problem.line for problem in found if problem.file.endswith(name)}
    # A line of the change, or the category or field that it belongs to.
    assert any(line - 14 <= at <= line + 2 for at in lines), (line, lines)


@pytest.mark.parametrize("encoding", ["gbk", "utf-16-le"])
def test_file_that_is_not_utf8_is_reported_with_its_line(small: Path, encoding: str) -> None:
    file = small / "domains.yaml"
    before = b"# one line\n# another\n"
    file.write_bytes(before + file.read_text(encoding="utf-8").encode(encoding))
    (problem,) = check(small).problems
    assert problem.line >= 3
    assert "\n" not in problem.message


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_matter(copy: Path) -> None:
    for name in ("provinces.yaml", "fields.yaml", SOCIAL):
        file = copy / name
        text = file.read_text(encoding="utf-8").replace("\n", "\r\n")
        file.write_bytes(text.encode("utf-8-sig"))
    assert check(copy).ok


def test_a_file_that_would_be_passed_over_is_told(small: Path) -> None:
    (small / SOCIAL).rename(small / "zones/cross_province/social_security.yml")
    told = [str(problem) for problem in check(small).problems]
    assert [line for line in told if "social_security.yml:1: is not read" in line]


def test_mistake_in_holidays_is_reported_with_its_place(small: Path) -> None:
    change(small, "holidays.yaml", "2026-01-04", "2026-01-05")
    (problem,) = [each for each in check(small).problems if "no weekend day" in each.message]
    assert problem.file == str(small / "holidays.yaml")


def test_templates_of_items_are_those_that_printing_has() -> None:
    assert set(Sources(ORIGINAL).shared.terms.templates) == set(TEMPLATES)


def test_a_missing_offer_is_noticed_everywhere_it_counts(copy: Path) -> None:
    change(copy, CERTIFICATES, "provinces: [山西, 海南]", "provinces: [山西]")
    told = [str(problem) for problem in check(copy).problems]
    assert [re.sub(r"^.*/", "", line) for line in told] == [
        "published.yaml:7: cross_province: 1346 items are published, 1345 here",
        "published.yaml:10: cross_province: 57 print are published, 56 here",
        "published.yaml:23: 海南 does not offer no_criminal_record (print) like this",
    ]


def test_all_files_are_reported_at_once(copy: Path) -> None:
    change(copy, SOCIAL, "kind: query", "kind: quiz")
    change(copy, "terms.yaml", "departments:", "department:")
    (copy / "domains.yaml").unlink()
    files = {Path(problem.file).name for problem in check(copy).problems}
    assert files == {"social_security.yaml", "terms.yaml", "domains.yaml"}
    with pytest.raises(CatalogueError):
        load(copy)


def test_an_override_changes_one_province(copy: Path) -> None:
    change(
        copy,
        SOCIAL,
        "    provinces: [山东, 四川]",
        "    overrides: {四川: {version: 3, name: 社会保障卡激活, hours: office,"
        " fee: {amount_fen: 500, text: 5元, text_en: 5 yuan}}}\n    provinces: [山东, 四川]",
    )
    assert check(copy).ok
    found = {
        item.province: item for item in load(copy) if item.category == "social_card_activation"
    }
    sichuan, shandong = found["510000"], found["370000"]
    assert (sichuan.version, sichuan.name, sichuan.fee.amount_fen) == (3, "社会保障卡激活", 500)
    assert (shandong.version, shandong.name, shandong.fee.amount_fen) == (1, "社保卡激活", 0)


def test_line_of_goes_as_far_as_the_file_does(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a:\n  - b: 1\n    c: [x,\n        y]\n", encoding="utf-8")
    content = read(file, "a.yaml")
    assert line_of(content, ("a", 0, "c", 1)) == 4
    assert line_of(content, ("a", 0, "missing", "deeper")) == 2
    assert line_of(content, ("a", 7)) == 1


# --- finding it


def test_the_directory_is_the_argument_then_the_variable_then_near_by(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    below = copy / "zones"
    monkeypatch.chdir(below)
    assert find_directory() == copy
    monkeypatch.chdir(tmp_path.anchor)
    with pytest.raises(FileNotFoundError, match=VARIABLE):
        find_directory()
    monkeypatch.setenv(VARIABLE, str(copy))
    assert find_directory() == copy
    assert find_directory(ORIGINAL) == ORIGINAL
    with pytest.raises(FileNotFoundError, match=r"provinces\.yaml"):
        find_directory(below)


# --- what would be published


def test_only_changed_items_are_published_under_a_higher_version() -> None:
    wanted = load_items(ORIGINAL, ORIGINAL / LOCAL_TAX)
    assert {item.domain for item in wanted} == {"税务服务"}
    one, two, three, *rest = wanted
    offered = {item.code: item for item in rest}
    offered[one.code] = one.model_copy(update={"version": 4})
    offered[two.code] = two.model_copy(update={"version": 4, "name": "旧名称"})
    gone = "0" * 17
    offered[gone] = one
    changes = compare(offered, wanted)
    assert changes.new == [three]
    assert changes.changed == [two.model_copy(update={"version": 5})]
    assert changes.withdrawn == []
    assert changes.unchanged == len(rest) + 1
    assert compare(offered, wanted, withdraw=True).withdrawn == [gone]


def test_a_higher_version_in_the_file_is_kept() -> None:
    item = load_items(ORIGINAL, ORIGINAL / LOCAL_TAX)[0]
    wanted = item.model_copy(update={"version": 9, "usage": 1})
    assert compare({item.code: item}, [wanted]).changed == [wanted]


# --- the command


@pytest.fixture
def app() -> typer.Typer:
    return application()


def test_check_ends_with_0_and_a_summary(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["catalogue", "check", str(ORIGINAL), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["ok"]
    assert told["problems"] == []
    assert told["summary"]["cross_province"]["items"] == 1346
    assert "1346" in CliRunner().invoke(app, ["catalogue", "check", str(ORIGINAL)]).stdout


def test_check_ends_with_1_and_the_lines(app: typer.Typer, copy: Path) -> None:
    line = change(copy, SOCIAL, "fields: [insured_city", "fields: [insured_town")
    done = CliRunner().invoke(app, ["catalogue", "check", str(copy)])
    assert done.exit_code == 1
    assert f"{SOCIAL}:{line}: " in done.stdout
    told = json.loads(CliRunner().invoke(app, ["catalogue", "check", str(copy), "--json"]).stdout)
    assert not told["ok"]
    assert [problem["line"] for problem in told["problems"]] == [line]


def test_missing_directory_ends_the_command_with_2(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["catalogue", "check", str(tmp_path)])
    assert done.exit_code == 2
    assert "no provinces.yaml" in done.stderr


def test_publish_refuses_a_catalogue_that_check_refuses(app: typer.Typer, copy: Path) -> None:
    change(copy, SOCIAL, "fields: [insured_city", "fields: [insured_town")
    for path in (copy, copy / SOCIAL):
        done = CliRunner().invoke(app, ["catalogue", "publish", str(path)])
        assert done.exit_code == 1
        assert "insured_town" in done.stdout


def test_publish_reports_mistakes_to_programs_as_json(app: typer.Typer, copy: Path) -> None:
    line = change(copy, SOCIAL, "fields: [insured_city", "fields: [insured_town")
    done = CliRunner().invoke(app, ["catalogue", "publish", str(copy), "--json"])
    assert done.exit_code == 1
    assert [problem["line"] for problem in json.loads(done.stdout)["problems"]] == [line]


def test_publish_without_a_broker_ends_as_other_commands_do(app: typer.Typer) -> None:
    done = CliRunner().invoke(
        app, ["catalogue", "publish", str(ORIGINAL)], env={"TONGBAN_KAFKA": "127.0.0.1:1"}
    )
    assert done.exit_code == 69
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1:1" in done.stderr


def test_publish_of_a_file_that_holds_no_items(app: typer.Typer, tmp_path: Path) -> None:
    stray = tmp_path / "stray.yaml"
    stray.write_text("a: 1\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["catalogue", "publish", str(stray)]).exit_code == 2
    terms = ORIGINAL / "terms.yaml"
    assert CliRunner().invoke(app, ["catalogue", "publish", str(terms)]).exit_code == 1
    whole = ["catalogue", "publish", str(ORIGINAL / SOCIAL), "--withdraw"]
    assert CliRunner().invoke(app, whole).exit_code == 2
