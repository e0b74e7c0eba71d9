"""Pinyin syllables as the phonemes that Kokoro v1.0 was trained on.

The tables are those of misaki's Chinese front end (https://github.com/hexgrad/misaki, ``zh.py``), by which the training
text was transcribed; syllables that it lacks are put together from their parts.
"""

INITIALS = {
    "b": "p",
    "p": "pʰ",
    "m": "m",
    "f": "f",
    "d": "t",
    "t": "tʰ",
    "n": "n",
    "l": "l",
    "g": "k",
    "k": "kʰ",
    "h": "x",
    "j": "ʨ",
    "q": "ʨʰ",
    "x": "ɕ",
    "zh": "ꭧ",
    "ch": "ꭧʰ",
    "sh": "ʂ",
    "r": "ɻ",
    "z": "ʦ",
    "c": "ʦʰ",
    "s": "s",
}

FINALS = {
    "a": ("a", ""),
    "ai": ("ai", ""),
    "an": ("a", "n"),
    "ang": ("a", "ŋ"),
    "ao": ("au", ""),
    "e": ("ɤ", ""),
    "ei": ("ei", ""),
    "en": ("ə", "n"),
    "eng": ("ə", "ŋ"),
    "er": ("ɚ", ""),
    "o": ("wo", ""),
    "ong": ("ʊ", "ŋ"),
    "ou": ("ou", ""),
    "i": ("i", ""),
    "ia": ("ja", ""),
    "ian": ("jɛ", "n"),
    "iang": ("ja", "ŋ"),
    "iao": ("jau", ""),
    "ie": ("je", ""),
    "in": ("i", "n"),
    "ing": ("i", "ŋ"),
    "io": ("jɔ", ""),
    "iong": ("jʊ", "ŋ"),
    "iu": ("jou", ""),
    "u": ("u", ""),
    "ua": ("wa", ""),
    "uai": ("wai", ""),
    "uan": ("wa", "n"),
    "uang": ("wa", "ŋ"),
    "ueng": ("wə", "ŋ"),
    "ui": ("wei", ""),
    "un": ("wə", "n"),
    "uo": ("wo", ""),
    "v": ("y", ""),
    "van": ("ɥɛ", "n"),
    "ve": ("ɥe", ""),
    "vn": ("y", "n"),
}
"""Each final as what comes before its tone mark and what comes after. ``v`` is ü."""

WITHOUT_INITIAL = {
    "yi": "i",
    "ya": "ia",
    "yan": "ian",
    "yang": "iang",
    "yao": "iao",
    "ye": "ie",
    "yin": "in",
    "ying": "ing",
    "yo": "io",
    "yong": "iong",
    "you": "iu",
    "wu": "u",
    "wa": "ua",
    "wai": "uai",
    "wan": "uan",
    "wang": "uang",
    "wei": "ui",
    "wen": "un",
    "weng": "ueng",
    "wo": "uo",
    "wong": "ong",
    "yu": "v",
    "yuan": "van",
    "yue": "ve",
    "yun": "vn",
}
"""Finals that are spelt otherwise where no initial stands before them."""

INTERJECTIONS = {
    "o": ("ɔ", ""),
    "ê": ("ɛ", ""),
    "n": ("ə", "n"),
    "ng": ("ə", "ŋ"),
    "m": ("ə", "m"),
    "hm": ("xə", "m"),
    "hng": ("xə", "ŋ"),
}
"""Syllables outside the system; those without a vowel (嗯, 呣, 哼) are given one, which is what can be heard."""

TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}

_APICAL = frozenset(["zh", "ch", "sh", "r", "z", "c", "s"])
_PALATAL = frozenset(["j", "q", "x"])


def syllable_phonemes(pinyin: str) -> str:
    """The phonemes of ``pinyin``, a syllable with the number of its tone: ``zhuang1``, ``lv4``, ``ma5``.

    Raises KeyError for what is not a syllable.
    """
    onset, nucleus, coda = _parts(pinyin[:-1].replace("ü", "v"))
    return onset + nucleus + TONES[pinyin[-1]] + coda


def _parts(syllable: str) -> tuple[str, str, str]:
    if syllable in INTERJECTIONS:
        return "", *INTERJECTIONS[syllable]
    if syllable in WITHOUT_INITIAL:
        return "", *FINALS[WITHOUT_INITIAL[syllable]]
    initial = syllable[:2] if syllable[:2] in INITIALS else syllable[:1]
    if initial not in INITIALS:
        return "", *FINALS[syllable]
    final = syllable[len(initial) :]
    if initial in _APICAL and final == "i":
        return INITIALS[initial], "ɨ", ""
    if initial in _PALATAL and final.startswith("u"):
        final = "v" + final[1:]
    return INITIALS[initial], *FINALS[final]
