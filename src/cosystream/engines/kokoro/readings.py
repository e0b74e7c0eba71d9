"""Readings that pypinyin's dictionary lacks or has wrong, and characters whose reading shows in what surrounds them."""

import re
from collections.abc import Sequence

WORDS = {
    "华为": "hua2 wei2",
    "长得": "zhang3 de5",
    "数一数": "shu3 yi1 shu3",
    "三行": "san1 hang2",
    "睡不着": "shui4 bu4 zhao2",
    "行不行": "xing2 bu4 xing2",
    "重写": "chong2 xie3",
    "塞外": "sai4 wai4",
    "哒": "da5",
    "呗": "bei5",
    "咯": "lo5",
    "喽": "lou5",
}
"""Taken before the dictionary, for a word as jieba finds it or a part of one."""

SURNAMES = {
    "曾": "zeng1",
    "单": "shan4",
    "任": "ren2",
    "解": "xie4",
    "朴": "piao2",
    "区": "ou1",
    "仇": "qiu2",
    "查": "zha1",
    "盖": "ge3",
    "华": "hua4",
}
_TITLE = "先生|女士|小姐|太太|老师|教授|经理|医生|总"

_NUMERALS = "一二三四五六七八九十百千万两几每这那哪"


def _after(characters: str) -> str:
    """A pattern for the place behind one of ``characters``, in the same word or the next."""
    return f"(?:(?<=[{characters}])|(?<=[{characters}] ))"


_IN_CONTEXT = (
    # 得: get, have to, and the particle.
    ("得(?= ?(?:了|过?奖|分|病))", "de2"),
    (f"(?:^|{_after('我你您他她它们就还总都也必')})得(?= ?[^很太真更最])", "dei3"),
    ("得", "de5"),
    # 地: the particle behind two or more characters and before what is done; else the ground.
    ("(?<=[^ 块片亩个的]{2} )地(?=[^ ]| [^ ])", "de5"),
    ("(?<=[^ ]{2})地(?= [^ ])", "de5"),
    # 长: to grow, the head of; else long.
    ("长(?= ?[了出满着成大得])", "zhang3"),
    (_after("校部处院会市省县区局团队班船社") + "长", "zhang3"),
    ("长", "chang2"),
    # 为: for; else to be.
    ("^为", "wei4"),
    (_after("我你您他她它们都也还就将会要能在是而并") + "为", "wei4"),
    ("为(?= ?[我你您他她它咱大人谁])", "wei4"),
    ("为", "wei2"),
    # Measures, and what they are otherwise.
    (_after(_NUMERALS + "多半整") + "只(?! ?[有要是能会好不想为])", "zhi1"),
    (_after(_NUMERALS) + "行(?! ?[人走动驶程])", "hang2"),
    (f"(?<![{_NUMERALS}各多某] )(?:^|(?<= ))种(?= ?[了着上下花菜树地田瓜豆])", "zhong4"),
    # Verbs.
    ("还(?= ?[给钱书债款清账]| ?[我你他]们? ?钱)", "huan2"),
    ("教(?= ?[我你您他她它孩])", "jiao1"),
    ("(?:^|(?<= ))数(?= ?[一了着到不])", "shu3"),
    ("倒(?= ?[是也水茶酒])", "dao4"),
    ("系(?= ?[好上着鞋领])", "ji4"),
    ("背(?= ?[着起包])", "bei1"),
    ("着(?= ?(?:了 ?)?火)", "zhao2"),
    ("(?<=不)了", "liao3"),
    # Names.
    *((f"{surname}(?= ?(?:{_TITLE}))", reading) for surname, reading in SURNAMES.items()),
)
READINGS_IN_CONTEXT = tuple((re.compile(pattern), reading) for pattern, reading in _IN_CONTEXT)
"""Each pattern matches one character of a text whose words stand apart; the first that does decides its reading.

They are asked about characters that are no part of a word in the dictionary.
"""


def readings_in_context(words: Sequence[str]) -> dict[int, str]:
    """The readings that the surroundings decide, by the index of the character in ``words`` put together."""
    spaced = " ".join(words)
    index_of = [position - spaced.count(" ", 0, position) for position in range(len(spaced))]
    found: dict[int, str] = {}
    for pattern, reading in READINGS_IN_CONTEXT:
        for match in pattern.finditer(spaced):
            found.setdefault(index_of[match.start()], reading)
    return found
