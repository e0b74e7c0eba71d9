"""Of a long silence v3 speaks the beginning."""

from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.silent_tokens import LONGEST_RUN, SilenceFilter


def kept(version: Version, tokens: list[int]) -> list[int]:
    filtered = SilenceFilter(version)
    return [token for token in tokens if filtered.keeps(token)]


def test_the_beginning_of_a_silence_is_kept_and_a_sound_starts_the_count_again() -> None:
    assert kept(Version.V3, [1, 2] * LONGEST_RUN + [7] + [28] * 9 + [7]) == [1, 2, 1, 2, 1, 7, *[28] * 5, 7]


def test_v2_keeps_all() -> None:
    assert kept(Version.V2, [1] * 20) == [1] * 20
