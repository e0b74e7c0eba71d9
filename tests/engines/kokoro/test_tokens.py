from hypothesis import given
from hypothesis import strategies as st

from cosystream.engines.kokoro.tokens import MAX_TOKENS, load_vocabulary, split_to_fit


def test_the_vocabulary_has_the_sounds_of_both_languages() -> None:
    vocabulary = load_vocabulary()
    assert len(vocabulary) == 114
    assert vocabulary.keys() >= set("ꭧʰʂʨɕʦ→↗↓↘ɚɥˈˌəɹθð ,.!?—…“”")


@given(st.text("ab ,", max_size=200), st.integers(1, 40))
def test_nothing_is_lost_and_nothing_too_long(phonemes: str, limit: int) -> None:
    pieces = list(split_to_fit(phonemes, limit))
    assert "".join(pieces) == phonemes
    assert all(0 < len(piece) <= limit for piece in pieces)


def test_a_long_clause_is_cut_between_words() -> None:
    phonemes = "wˈʌn tˈu θɹˈi " * 20
    pieces = list(split_to_fit(phonemes))
    assert len(pieces) == -(-len(phonemes) // MAX_TOKENS)
    assert all(piece.endswith(" ") for piece in pieces)


def test_what_fits_stays_whole() -> None:
    assert list(split_to_fit("a " * (MAX_TOKENS // 2))) == ["a " * (MAX_TOKENS // 2)]
