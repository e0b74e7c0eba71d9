"""Which of our voices speaks for a name of DashScope's own CosyVoice voices."""

import re
from collections.abc import Sequence

from cosystream.errors import UnknownVoice
from cosystream.types import Voice

_THEIRS = re.compile(r"(loo?ng[a-z]+)(?:_v[\d.]+)?", re.ASCII)
"""As longxiaochun, longanhuan_v3.6 and loongstella_v2."""

_MEN = frozenset(
    (
        "longanchong longanlang longanlufeng longanshuo longanyang longanyue longanyun longanzhi longcheng "
        "longchuanshu longfei longgaoseng longhan longhao longhouge longhuohuo longjielidou longjin longlaobo "
        "longlaotie longnan "
        "longniuniu longsanshu longshange longshao longshu longshuo longtian longwangwang longxiang longxiaocheng "
        "longxiu longyichen longyingcui longyingxun longze longzhe "
        "loongandy loongbrian loongdavid loongeric loongjihun loongjohn loongluca loongtomoya loongyuuma"
    ).split()
)
"""The men and boys in Alibaba Cloud's list of CosyVoice's voices; whoever is not here is a woman or a girl."""


def speaker_for(name: str, voices: Sequence[Voice], default_speaker: str) -> str:
    """The name of ours that ``name`` stands for: itself, if we have it.

    A name as DashScope's own are is spoken by the default voice or, where that is of another gender, by the first of
    the right one, if possible with the same mother tongue. No name is the default. Raises UnknownVoice for any other.
    """
    if not name or name in (voice.name for voice in voices):
        return name or default_speaker
    theirs = _THEIRS.fullmatch(name)
    if theirs is None:
        there_are = ", ".join(voice.name for voice in voices) or "none"
        raise UnknownVoice(f"no voice {name[:64]!r}; there are {there_are}, and DashScope's names that begin with long")
    gender = "male" if theirs[1] in _MEN else "female"
    default = next((voice for voice in voices if voice.name == default_speaker), None)
    if default is None or default.gender == gender:
        return default_speaker
    fitting = [voice for voice in voices if voice.gender == gender]
    fitting.sort(key=lambda voice: voice.languages[:1] != default.languages[:1])
    return fitting[0].name if fitting else default_speaker
