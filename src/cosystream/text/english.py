"""What the English grammar misreads, rewritten so that it reads it well."""

import re

from cosystream.text.addresses import AddressWords
from cosystream.text.rewriting import rewrite

ADDRESS_WORDS = AddressWords(dot="dot", at="at", slash="slash")

CURRENCIES = {
    "USD": "dollars",
    "EUR": "euros",
    "GBP": "pounds",
    "CNY": "yuan",
    "RMB": "yuan",
    "JPY": "yen",
    "HKD": "Hong Kong dollars",
    "₹": "rupees",
    "₽": "roubles",
}
COINS = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
MONTHS = {
    "Jan": "January",
    "Feb": "February",
    "Mar": "March",
    "Apr": "April",
    "May": "May",
    "Jun": "June",
    "Jul": "July",
    "Aug": "August",
    "Sep": "September",
    "Oct": "October",
    "Nov": "November",
    "Dec": "December",
}
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_DECADES = "hundreds tens twenties thirties forties fifties sixties seventies eighties nineties".split()
_CENTURIES = {"17": "seventeen", "18": "eighteen", "19": "nineteen", "20": "twenty"}

_NUMBER = r"\d+(?:\.\d+)?"
_SCALE = "[kKmMbB]|thousand|trillion"
_CURRENCY = "|".join(CURRENCIES)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if name != "May" else name for name in MONTHS.values())


def ordinal(number: int) -> str:
    """The word for the ``number``-th, up to 99."""
    if number < len(_ORDINALS):
        return _ORDINALS[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]} {_ORDINALS[ones]}" if ones else _TENS[tens].removesuffix("y") + "ieth"


def _counted(number: str, noun: str) -> str:
    plural = "pence" if noun == "penny" else noun + "s"
    return f"{number} {noun if number == '1' else plural}"


def _coins(match: re.Match[str]) -> str:
    """$3.50 as three dollars and fifty cents, $0.99 as ninety-nine cents."""
    note, coin = COINS[match["sign"]]
    amounts = [_counted(match["notes"], note)] if match["notes"] != "0" else []
    cents = match["cents"].lstrip("0")
    return " and ".join([*amounts, _counted(cents, coin)] if cents else amounts)


def _day(match: re.Match[str]) -> str:
    day = int(match["day"])
    return f"{MONTHS[match['month'][:3]]} {ordinal(day)}" if 1 <= day <= 31 else match[0]


def _decade(match: re.Match[str]) -> str:
    if match[1] + match[2] == "200":
        return "two thousands"
    return f"{_CENTURIES[match[1]]} {_DECADES[int(match[2])]}"


def _thousand(match: re.Match[str]) -> str:
    rest = int(match[2])
    return f"{match[1]} thousand {rest}" if rest else f"{match[1]} thousand"


def _one_by_one(match: re.Match[str]) -> str:
    return ", ".join(" ".join(group) for group in re.findall(r"\d+", match[0]))


REWRITES = (
    # What is paid.
    rewrite(
        rf"(?P<sign>[$€£]) ?(?P<notes>\d{{1,3}}(?:,\d{{3}})+|\d+)\.(?P<cents>\d\d)(?!\d| ?(?:{_SCALE}))",
        _coins,
    ),
    rewrite(
        rf"(?P<sign>[$€£]) ?(?P<notes>\d{{1,3}}(?:,\d{{3}})+)(?!\.?\d| ?(?:{_SCALE}))",
        lambda match: _counted(match["notes"], COINS[match["sign"]][0]),
    ),
    rewrite(rf"([$€£]) ?({_NUMBER}) ?(?:k|thousand)(?!\w)", lambda match: f"{match[2]} thousand {COINS[match[1]][0]}s"),
    rewrite(r"(?<=\d)k(?!\w)", " thousand"),
    rewrite(r"(?<!\w)US(?=\$)", ""),
    rewrite(rf"(?<!\w)({_CURRENCY}) ?({_NUMBER})", lambda match: f"{match[2]} {CURRENCIES[match[1]]}"),
    rewrite(rf"({_NUMBER}) ?({_CURRENCY})(?!\w)", lambda match: f"{match[1]} {CURRENCIES[match[2]]}"),
    rewrite(r"(?<=\d)¢", " cents"),
    # Figures.
    rewrite(r"(?<![\d.,$€£¥])([1-9]),(\d{3})(?![\d,]|\.\d)", _thousand),
    rewrite(r"(?<![\d.,$€£¥])1000(?![\d,]|\.\d)", "1 thousand"),
    rewrite(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda match: match[0].replace(",", "")),
    rewrite(r"(?<![\d.])(\d{1,4})\.(\d{1,6})\.(\d{1,6})(?!\.?\d)", r"\1 point \2 point \3"),  # Python 3.11.4
    rewrite(r"(?<!\w)[Nn]o\. ?(?=\d)|#(?=\d)", "number "),
    rewrite(r"(?<!\d)(24/7|50/50|9/11)(?![\d/])", lambda match: match[0].replace("/", " ")),
    rewrite(r"(?<=[A-Z]{2})(?=\d{4}(?!\d))", " "),  # BA2490
    rewrite(r"(?<![$€£¥\d.,])(\d+(?:\.\d+)?) ?m(?![\w²³/])", r"\1 meters"),
    # Dates and ranges.
    rewrite(rf"(?<!\w)(?P<month>{_MONTH})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:/%]|[.,]\d)", _day),
    rewrite(r"(?<!\d)(1[789]|20)(\d)0s(?!\w)", _decade),
    rewrite(r"(?<![\d-])(?:\+?1[ -])?(?:\(\d{3}\) ?|\d{3}-)?\d{3}-\d{4}(?![\d-])", _one_by_one),
    rewrite(r"(?<![\d-])(?!\d{4}-\d\d-\d\d(?!\d))\d{1,7}(?:-\d{1,7}){2,}(?!\d)", _one_by_one),  # ISBN
    rewrite(r"(?<![\d./:-])(\d{1,4}) ?[-–—~] ?(\d{1,4})(?!\d|[./:-]\d| ?=)", r"\1 to \2"),
    # Signs.
    rewrite(r"(?<=\d) ?× ?(?=\d)", " by "),
    rewrite(" ?× ?", " times "),
    rewrite(" ?÷ ?", " divided by "),
    rewrite(" ?± ?", " plus or minus "),
    rewrite(r"(?<![\w+])\+(?=\d)", " plus "),
    rewrite(" ?≈ ?", " is about "),
    rewrite(" ?≠ ?", " is not equal to "),
    rewrite(" ?≤ ?| ?<= ?", " is at most "),
    rewrite(" ?≥ ?| ?>= ?", " is at least "),
    rewrite(r"(?<=\w) ?\^ ?(?=\d)", " to the power of "),
    rewrite(r"(?<=\w) ?< ?(?=[\w-])", " is less than "),
    rewrite(r"(?<=\w) ?> ?(?=[\w-])", " is greater than "),
    rewrite("(?<=[A-Z])#", " sharp"),
    rewrite(r"\*(?!\d)|(?<!\d)\*|~|#|@|\^", " "),
)
"""In this order. Each piece of text is at most a clause long, so that no pattern can cost much."""
