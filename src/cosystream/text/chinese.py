"""What the Chinese grammar misreads, rewritten so that it reads it well."""

import re

from cosystream.text.addresses import AddressWords
from cosystream.text.english import ordinal
from cosystream.text.rewriting import rewrite
from cosystream.text.scripts import HAN

ADDRESS_WORDS = AddressWords(dot="点", at="at", slash="斜杠")

CURRENCIES = {
    "¥": "元",
    "RMB": "元",
    "CNY": "元",
    "$": "美元",
    "US$": "美元",
    "USD": "美元",
    "HK$": "港元",
    "HKD": "港元",
    "€": "欧元",
    "EUR": "欧元",
    "£": "英镑",
    "GBP": "英镑",
    "JPY": "日元",
    "₩": "韩元",
    "₽": "卢布",
    "₹": "卢比",
}
UNITS = {
    "g": "克",
    "mL": "毫升",
    "Hz": "赫兹",
    "kHz": "千赫",
    "MHz": "兆赫",
    "GHz": "吉赫",
    "kW": "千瓦",
    "kWh": "千瓦时",
    "mmHg": "毫米汞柱",
}
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")

_NUMBER = r"\d+(?:\.\d+)?"
_SCALE = "[十百千万亿]*"
_CURRENCY_BEFORE = "|".join(map(re.escape, sorted(CURRENCIES, key=len, reverse=True)))
_CURRENCY_AFTER = "|".join(filter(str.isalpha, CURRENCIES))
_CURRENCY_SPOKEN = "元|块钱?|美[元金]|[港欧日韩]元|英镑|卢[布比]"
_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_NAMED_BY_NUMBER = "密码|验证码|邮编|尾号|编号|卡号|账号|学号|工号|航班|波音|空客|QQ"
_NAMED_WITH_NUMBER = "室|号?房间|医院|高校|次列车|客服|热线"
_NO_MODEL = "TOP|Top|top|Win|No|NO"


def _money(match: re.Match[str]) -> str:
    amount = match["amount"].rstrip("0").rstrip(".") if "." in match["amount"] else match["amount"]
    return amount + match["scale"] + CURRENCIES[match["currency"]]


def _only_digits(match: re.Match[str]) -> str:
    return "".join(filter(str.isdecimal, match[0]))


def _groups_one_by_one(match: re.Match[str]) -> str:
    return match[0].translate(_DIGITS).replace("-", " ")


def _one_by_one(match: re.Match[str]) -> str:
    return match[0].translate(_DIGITS)


REWRITES = (
    # Figures.
    rewrite(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", _only_digits),  # 3,045
    rewrite(r"(?<=\d) (?=1/[24](?!\d)|3/4(?!\d))", "又"),  # 2½
    rewrite(rf"({_NUMBER})‰", r"千分之\1"),
    rewrite(rf"({_NUMBER})%?[~—–-]({_NUMBER})%", r"\1%~\2%"),
    rewrite(r"(?<=[约近超])(\d{1,3})/(\d{1,3})(?![\d/])", r"\2分之\1"),
    rewrite(r"(\d)\^(-?\d+)", r"\1的\2次方"),
    rewrite(r"(?<=\d) ?[×*xX] ?(?=\d)", "乘"),
    rewrite(r"(?<=\d) ?÷ ?(?=\d)", "除以"),
    rewrite(rf"(?<=\d)([万亿千百]?)\+(?=[{HAN}]|$)", r"\1多"),  # 100+人
    rewrite(r"(?<![\d.])(\d{1,3})\.(\d{1,4})\.(\d{1,4})(?!\.?\d)", r"\1点\2点\3"),  # Python 3.11.4
    rewrite(r"(?<!\w)(?:No|NO)\. ?(?=\d)|#(?=\d)", "第"),
    rewrite(r"(?<![\d.])\d{1,2}(?:st|nd|rd|th)(?![A-Za-z])", lambda match: ordinal(int(match[0][:-2]))),
    rewrite(r"(?<=\d)(?:st|nd|rd|th)(?![A-Za-z])", ""),  # 101st: the grammar would see seconds
    # What is paid and measured.
    rewrite(
        rf"(?<![A-Za-z])(?P<currency>{_CURRENCY_BEFORE}) ?(?P<amount>{_NUMBER})(?P<scale>{_SCALE})"
        rf"(?:{_CURRENCY_SPOKEN})?",  # ¥99.5元: said once
        _money,
    ),
    rewrite(rf"(?P<amount>{_NUMBER})(?P<scale>{_SCALE}) ?(?P<currency>{_CURRENCY_AFTER})(?![A-Za-z])", _money),
    rewrite(rf"(?<=\d)(?:{_UNIT})(?![A-Za-z])", lambda match: UNITS[match[0]]),
    rewrite(r"(?<![A-Za-z\d])m²", "平方米"),
    rewrite(r"(?<![A-Za-z\d])m³", "立方米"),
    rewrite(rf"(?<=[元块里米克升次])/(?=[{HAN}])", "每"),
    # Dates, times, ranges and scores.
    rewrite(r"(?<!\d)2日(?![内后前])", "二日"),
    rewrite(r"(?<![\d.:])2点(?=\d\d?分|\D|$)", "两点"),
    rewrite(r"(?<![\d大高初第])2年(?![级\d])", "两年"),
    rewrite(r"(\d{4}/\d\d?/\d\d?)[~—–-](\d\d?)/(\d\d?)(?![\d/])", r"\1到\2月\3日"),
    rewrite(r"(?<!\d)((?:19|20)\d\d)[~—–-]((?:19|20)\d\d)(?![\d年])", r"\1年到\2年"),
    rewrite(r"(?<=\d)[—–]{1,2}(?=\d)", "~"),
    rewrite(r"(?<=[日月号年点分秒])[~—–-]{1,2}(?=\d)", "到"),
    rewrite(r"(比分\D{0,3}|以)(\d{1,3})-(\d{1,3})(?!\d)", r"\1\2比\3"),
    rewrite(r"(?<!\d)(\d{1,3})-(\d{1,3})(?=获胜|战胜|击败|大胜|险胜|领先|落后|逆转)", r"\1比\2"),
    rewrite(r"(?<![A-Za-z\d.:/-])(\d{1,3})-(\d{1,3})(?!\d|[.:-]\d| ?(?:=|等于))", r"\1~\2"),
    # Figures that name something.
    rewrite(
        r"(?<![\d-])(?!\d{4}-\d\d?-\d\d?(?!\d)|1\d\d-\d{4}-)\d{1,7}(?:-\d{1,7}){2,}(?!\d)", _groups_one_by_one
    ),  # ISBN
    rewrite(r"\+86[ -]?(?=1\d{2}[ -]?\d{4}[ -]?\d{4}(?!\d))", "加八六 "),
    rewrite(r"(?<!\d)1[3-9]\d([ -])\d{4}\1\d{4}(?!\d)", _only_digits),
    rewrite(
        r"(?<!\d)(?:\(0\d{2,3}\) ?|0\d{2,3}[ -])\d{3,4}[ -]?\d{4}(?!\d)",
        lambda match: _only_digits(match).translate(_DIGITS),
    ),
    rewrite(rf"(?:{_NAMED_BY_NUMBER})[号码是为：: ]{{0,4}}\d{{3,}}", _one_by_one),
    rewrite(rf"(?<![\d.])\d{{3,5}}(?={_NAMED_WITH_NUMBER})", _one_by_one),
    rewrite(rf"(?<![A-Za-z])(?!{_NO_MODEL})[A-Za-z]{{1,5}} ?\d{{3,}}+(?!\.\d|[A-Za-z:])", _one_by_one),  # G1234, A380
    # Signs between words.
    rewrite(r"(?<=[A-Za-z+])(?<!\d[A-Za-z])\+", "加"),  # C++
    rewrite(r"(?<=[A-Z])#", " sharp"),
    rewrite(rf"(?<=[{HAN}]) ?& ?(?=[{HAN}])", "和"),
    rewrite(" ?& ?", " and "),
    rewrite(rf"(?<=[A-Za-z{HAN}]) ?= ?(?=[\w-])", "等于"),
    rewrite(r"(?<=[A-Za-z]) ?> ?(?=[\w-])", "大于"),
    rewrite(r"(?<=[A-Za-z]) ?< ?(?=[\w-])", "小于"),
    rewrite(" ?≈ ?", "约等于"),
    rewrite(" ?≠ ?", "不等于"),
    rewrite(rf"(?<=[{HAN}])/(?=[{HAN}])", "、"),
)
"""In this order. Each piece of text is at most a clause long, so that no pattern can cost much."""
