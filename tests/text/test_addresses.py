import pytest

from cosystream.text.addresses import AddressWords, spell_addresses
from cosystream.text.characters import tidy

ENGLISH = AddressWords(dot="dot", at="at", slash="slash")


def spelt(text: str) -> str:
    return tidy(spell_addresses(text, ENGLISH)).strip()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("www.example.com", "W W W dot example dot com"),
        ("https://example.cn/news/a_b.html?id=1#top", "example dot C N slash news slash a b dot html"),
        ("http://my-site.co.uk:8080/", "my site dot co dot U K"),
        ("john.doe+x@mail.example.org", "john dot doe x at mail dot example dot org"),
        ("node.js", "node dot J S"),
        ("archive.tar.gz", "archive dot tar dot G Z"),
        ("README.md", "README dot M D"),
    ],
)
def test_an_address_is_written_as_it_is_said(address: str, expected: str) -> None:
    assert spelt(address) == expected
    assert spelt(f"请看{address}。") == f"请看 {expected}。"
    assert spelt(f"See {address}.") == f"See {expected}."


@pytest.mark.parametrize(
    "text",
    ["3.14", "192.168.1.1", "v1.2.3", "U.S. and e.g. p.m.", "the end.The next", "Wait...What", "a b", "99.5", "Ph.D."],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert spelt(text) == text
