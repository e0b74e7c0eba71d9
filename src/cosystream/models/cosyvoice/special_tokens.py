"""The strings that a checkpoint's text tokenizer reads as one token each, beyond those of its folder.

Their order is their meaning: ids are given in this order, from the first free one on.
"""

from cosystream.models.cosyvoice.config import Version

END_OF_PROMPT = "<|endofprompt|>"
"""Closes what is said to the model; what follows is to be spoken."""

_V2 = (
    END_OF_PROMPT,
    *"[breath] <strong> </strong> [noise] [laughter] [cough] [clucking] [accent] [quick_breath]".split(),
    *"<laughter> </laughter> [hissing] [sigh] [vocalized-noise] [lipsmack] [mn]".split(),
)
_PHONEMES = (
    "AA AA0 AA1 AA2 AE AE0 AE1 AE2 AH AH0 AH1 AH2 AO AO0 AO1 AO2 AW AW0 AW1 AW2 AY AY0 AY1 AY2 B CH D DH EH EH0 EH1"
    " EH2 ER ER0 ER1 ER2 EY EY0 EY1 EY2 F G HH IH IH0 IH1 IH2 IY IY0 IY1 IY2 JH K L M N NG OW OW0 OW1 OW2 OY OY0 OY1"
    " OY2 P R S SH T TH UH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH"
)
"""Of English, as in the CMU dictionary."""
_PINYIN = (
    "a ai an ang ao b c ch d e ei en eng f g h i ian in ing iu ià iàn iàng iào iá ián iáng iáo iè ié iòng ióng iù"
    " iú iā iān iāng iāo iē iě iōng iū iǎ iǎn iǎng iǎo iǒng iǔ j k l m n o ong ou p q r s sh t u uang ue un uo uà"
    " uài uàn uàng uá uái uán uáng uè ué uì uí uò uó uā uāi uān uāng uē uě uī uō uǎ uǎi uǎn uǎng uǐ uǒ vè w x y z zh"
    " à ài àn àng ào á ái án áng áo è èi èn èng èr é éi én éng ér ì ìn ìng í ín íng ò òng òu ó óng óu ù ùn ú ún ā āi"
    " ān āng āo ē ēi ēn ēng ě ěi ěn ěng ěr ī īn īng ō ōng ōu ū ūn ǎ ǎi ǎn ǎng ǎo ǐ ǐn ǐng ǒ ǒng ǒu ǔ ǔn ǘ ǚ ǜ"
)
"""Initials and finals of Mandarin, in composed characters (NFC)."""
_V3 = (*_V2, "<|endofsystem|>", *(f"[{sound}]" for sound in f"{_PHONEMES} {_PINYIN}".split()))


def added_tokens(version: Version) -> tuple[str, ...]:
    """What ``version`` adds to the tokens of Qwen2, in the order of the ids."""
    return {Version.V2: _V2, Version.V3: _V3}[version]


def is_control(token: str) -> bool:
    """Whether a special token steers the model; the others are sounds, and a text may hold them."""
    return token.startswith("<|")
