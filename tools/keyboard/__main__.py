"""Make the tables of the kiosk's touch keyboard and of the search: `python -m tools.keyboard`.

Writes `static/pinyin.js` (characters by syllable, most frequent first; frequent words; words of the
catalogue; surnames) and `libs/common/tongban_common/catalogue/traditional.json` (traditional
characters with their simplified ones). The sources are no dependencies of the project, because the
tables are committed: run it after `pip install jieba==0.42.1 opencc==1.4.2`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from pypinyin import Style, lazy_pinyin, pinyin

from tongban_ops.catalogue.loader import load

ROOT = Path(__file__).parents[2]
PINYIN = ROOT / "services/intake/tongban_intake/kiosk/static/pinyin.js"
TRADITIONAL = ROOT / "libs/common/tongban_common/catalogue/traditional.json"
MOST_WORDS, MOST_PLACES = 4000, 500
_LEAST_SHARE = 0.01
"""Share of a character's uses from which on a second reading is listed."""
_LONGEST = 4
_SEVERAL = 3
"""Names of the catalogue that contain a word which is listed first."""
ADDRESS = "小区 新村 弄堂 街道 单元 号楼 路口 花园 公寓 大厦 小学 中学 居委会 村委会 派出所"
_PEOPLE, _PLACE = ("nr", "nrt", "nrfg", "x", "eng"), "ns"

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏"
    "吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱"
    "严覃武戴莫孔向汤单柴翁葛庄殷施华鲍费岑倪滕毕安常乐时傅齐康伍元卜平和穆萧季褚卫颜俞仇解仲翟阮"
)
COMPOUND_SURNAMES = "欧阳 上官 司马 诸葛 司徒 夏侯 皇甫 尉迟 长孙 慕容 令狐 公孙 东方 南宫 轩辕"
IN_NAMES = (
    "珺玥喆堃昇垚頔甯翀昉昕旻暐炜烨煜熠燊燚瑀瑢璟璠瓅甦皓皞睿祎祺禛竑筠粲翊翯芃芊苒茜荃莹菡萱蓁"
    "蕙薇藜衎祎誉谞赟轶逸邈郗鄢铖铮锴镕镭阗雯霏霖韬颀颉颢飏骁骎骐骞鸾麒麟黉瑄玮珩琬琰瑾璇璐婧婷"
    "媛嫣嫚妤妍姝娅娉嘉尧峥嵘岚嵩崧渌淏淼湉滢潇澍濛焱焜焕煊祚稷翾芮芷茗莞莛葳蔚赓迦逯邗郦钰钊钏"
    "铠锜镐阅阊霁韫颐馨骅骢鲲鹄鹏黛龠㛃㬎䶮玙珂珈珏珣琚琛琨琪琮瑶瑜瑞璋璨璞"
)


def main() -> None:
    """Write both tables."""
    uses = dict(_dictionary())
    names = list(_catalogue_words())
    parts = _parts(names, uses)
    characters = _characters(uses)
    known = {each for of_syllable in characters.values() for each in of_syllable}
    table = {
        "chars": " ".join(f"{each}{''.join(characters[each])}" for each in sorted(characters)),
        "ours": " ".join([*parts, *(each for each in names if each not in parts)]),
        "words": " ".join(_frequent(uses, known, {*parts, *names})),
        "surnames": SURNAMES + " " + COMPOUND_SURNAMES,
    }
    body = json.dumps(table, ensure_ascii=False)
    PINYIN.write_text(
        '"use strict";\n/* Made by `python -m tools.keyboard`; see there for what it holds. */\n'
        f"window.PINYIN = {body};\n"
    )
    TRADITIONAL.write_text(json.dumps(_traditional(known), ensure_ascii=False) + "\n")


def _dictionary() -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield each Chinese word of jieba's dictionary with its uses and its part of speech."""
    for line in files("jieba").joinpath("dict.txt").read_text().splitlines():
        word, uses, kind = line.rsplit(" ", 2)
        if all("\u4e00" <= each <= "\u9fff" for each in word):
            yield word, (int(uses), kind)


def _catalogue_words() -> Iterator[str]:
    """Yield names of items and everyday words, most used first, each once."""
    seen: set[str] = set()
    items = list(load(ROOT / "catalogue"))
    for word in (word for item in items for word in (item.name, *item.keywords)):
        if word not in seen and all("\u4e00" <= each <= "\u9fff" for each in word):
            seen.add(word)
            yield word
    yield from dict.fromkeys(item.province_name for item in items)


def _parts(names: list[str], uses: dict[str, tuple[int, str]]) -> dict[str, int]:
    """Return the words that several names of the catalogue contain, most used first."""
    found = Counter(
        word
        for name in names
        for word in {name[at : at + size] for size in (2, 3, 4) for at in range(len(name))}
        if word in uses
    )
    return {word: count for word, count in found.most_common() if count >= _SEVERAL}


def _characters(uses: dict[str, tuple[int, str]]) -> dict[str, list[str]]:
    """Return the characters of each syllable, most used in this reading first."""
    readings: dict[str, Counter[str]] = defaultdict(Counter)
    for word, (count, _) in uses.items():
        for each, syllable in zip(word, lazy_pinyin(word, style=Style.NORMAL), strict=True):
            readings[each][_typed(syllable)] += count
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for each in _repertoire():
        main = _typed(pinyin(each, style=Style.NORMAL)[0][0])
        counted = readings[each]
        total = sum(counted.values())
        for syllable in {main, *counted}:
            if syllable == main or counted[syllable] > _LEAST_SHARE * total:
                found[syllable].append((counted[syllable], each))
    return {
        syllable: [each for _, each in sorted(listed, key=lambda pair: (-pair[0], pair[1]))]
        for syllable, listed in found.items()
        if syllable.isascii() and syllable.isalpha()
    }


def _repertoire() -> Iterable[str]:
    """Return the characters of GB 2312, and those that names have besides."""
    both = [bytes((row, cell)) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF)]
    plain = [each.decode("gb2312", "ignore") for each in both]
    return dict.fromkeys([*filter(None, plain), *IN_NAMES, *SURNAMES])


def _typed(syllable: str) -> str:
    """Return the syllable as it is typed: v for ü."""
    return syllable.replace("ü", "v").replace("ê", "e").lower()


def _frequent(uses: dict[str, tuple[int, str]], known: set[str], ours: set[str]) -> Iterator[str]:
    """Yield the most frequent words and names of places that the catalogue does not have."""
    yield from (word for word in ADDRESS.split() if word not in ours)
    ours = {*ours, *ADDRESS.split()}
    ranked = sorted(uses, key=lambda word: -uses[word][0])
    words = places = 0
    for word in ranked:
        kind = uses[word][1]
        usable = 2 <= len(word) <= _LONGEST and kind not in _PEOPLE and known.issuperset(word)
        if not usable or word in ours:
            continue
        if kind == _PLACE and places < MOST_PLACES:
            places += 1
            yield word
        elif kind != _PLACE and words < MOST_WORDS:
            words += 1
            yield word


def _traditional(simplified: set[str]) -> dict[str, str]:
    """Return the traditional characters, and beside them the simplified ones in the same order."""
    convert = import_module("opencc").OpenCC("t2s").convert
    pairs = [
        (each, to)
        for each in map(chr, range(0x4E00, 0xA000))
        if (to := convert(each)) != each and to in simplified
    ]
    return {"traditional": "".join(t for t, _ in pairs), "simplified": "".join(s for _, s in pairs)}


if __name__ == "__main__":
    main()
