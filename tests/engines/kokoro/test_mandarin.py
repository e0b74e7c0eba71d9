from pathlib import Path

import pytest

from cosystream.engines.kokoro.mandarin import Mandarin
from cosystream.engines.kokoro.pinyin import syllable_phonemes


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mandarin") / "new"


@pytest.fixture(scope="module")
def mandarin(cache_dir: Path) -> Mandarin:
    return Mandarin(cache_dir)


def joined(pinyin: str) -> str:
    return "".join(map(syllable_phonemes, pinyin.split()))


@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        # by word
        ("银行行长", "yin2 hang2 hang2 zhang3"),
        ("音乐很快乐", "yin1 yue4 hen3 kuai4 le4"),
        ("重庆的重量", "chong2 qing4 de5 zhong4 liang4"),
        ("会计开会", "kuai4 ji4 kai1 hui4"),
        ("便宜又方便", "pian2 yi5 you4 fang1 bian4"),
        ("人民音乐出版社", "ren2 min2 yin1 yue4 chu1 ban3 she4"),
        # by what surrounds them
        ("他跑得很快", "ta1 pao3 de5 hen3 kuai4"),
        ("我得走了", "wo3 dei3 zou3 le5"),
        ("他得了第一名", "ta1 de2 le5 di4 yi1 ming2"),
        ("慢慢地走", "man4 man4 de5 zou3"),
        ("这块地很大", "zhe4 kuai4 di4 hen3 da4"),
        ("河很长", "he2 hen3 chang2"),
        ("孩子长大了", "hai2 zi5 zhang3 da4 le5"),
        ("面积为三平方米", "mian4 ji1 wei2 san1 ping2 fang1 mi3"),
        ("为我们服务", "wei4 wo3 men5 fu2 wu4"),
        ("三十二只猫", "san1 shi2 er4 zhi1 mao1"),
        ("只有我", "zhi3 you3 wo3"),
        ("把钱还给我", "ba3 qian2 huan2 gei3 wo3"),
        ("教我唱歌", "jiao1 wo3 chang4 ge1"),
        ("曾先生", "zeng1 xian1 sheng1"),
        # 一, 不 and 儿
        ("我有一个好主意", "wo3 you3 yi2 ge4 hao3 zhu3 yi4"),
        ("这不是一样吗", "zhe4 bu2 shi4 yi2 yang4 ma5"),
        ("一月一日", "yi1 yue4 yi1 ri4"),
        ("玩儿", "wan2 er5"),
        ("女儿", "nv3 er2"),
        # single words
        ("嗯", "n2"),
        ("〇", "ling2"),
    ],
)
def test_characters_are_read_as_their_words_are(mandarin: Mandarin, text: str, pinyin: str) -> None:
    assert mandarin.phonemes(text).replace(" ", "") == joined(pinyin)


def test_words_stand_apart(mandarin: Mandarin) -> None:
    assert mandarin.phonemes("我们去北京").split() == [joined("wo3 men5"), joined("qu4"), joined("bei3 jing1")]


def test_the_suffix_er_joins_a_word_that_was_found_without_it(mandarin: Mandarin) -> None:
    assert mandarin.phonemes("看电影儿").split()[-1] == joined("dian4 ying3 er5")


def test_what_no_dictionary_has_is_left_out(mandarin: Mandarin) -> None:
    unknown = "\U0002a6d0"
    assert not mandarin.can_read(unknown)
    assert mandarin.phonemes(f"你{unknown}好") == mandarin.phonemes("你好")
    assert mandarin.phonemes(unknown) == ""


def test_the_dictionary_is_kept_in_the_folder_given(mandarin: Mandarin, cache_dir: Path) -> None:
    assert [path.name for path in cache_dir.iterdir()] == ["jieba.cache"]
    assert Mandarin(cache_dir).phonemes("你好") == mandarin.phonemes("你好")
