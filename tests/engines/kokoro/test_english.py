import pytest

from cosystream.engines.kokoro.english import English, fold


@pytest.fixture(scope="module")
def english() -> English:
    return English()


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello, world", "həlˈO, wˈɜɹld"),
        ("To read what I have read", "tə ɹˈid wˌʌt ˌI hæv ɹˈɛd"),
        ("GPU", "ʤˌipˌijˈu"),
        ("A", "ˈA"),
        ("C-D", "sˈi dˈi"),
        ("two  words", "tˈu wˈɜɹdz"),
        ("xŁ", "ˈɛks ˈɛl"),
    ],
)
def test_words_are_read_in_their_sentence_and_letters_by_name(english: English, text: str, phonemes: str) -> None:
    assert english.phonemes(text) == phonemes


@pytest.mark.parametrize(("accented", "plain"), [("Łódź", "Łódz"), ("ế", "e"), ("ḧello", "hello"), ("cafẻ", "cafe")])
def test_accents_that_nobody_knows_are_ignored(english: English, accented: str, plain: str) -> None:
    assert english.phonemes(accented) == english.phonemes(plain)


@pytest.mark.parametrize(
    ("letter", "folded"),
    [("é", "e"), ("Ü", "U"), ("ß", "ss"), ("Æ", "AE"), ("ł", "l"), ("ａ", "a"), ("я", ""), ("中", "")],
)
def test_a_letter_is_folded_to_english_if_it_is_a_variant(letter: str, folded: str) -> None:
    assert fold(letter) == folded
