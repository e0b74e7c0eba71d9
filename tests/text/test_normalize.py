import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosystream.text.characters import PUNCTUATION, plain
from cosystream.text.normalize import Normalizer, needs_grammar

CHINESE = {
    # numbers
    "共3,045.67元": "共三千零四十五点六七元",
    "12345个人": "一万二千三百四十五个人",
    "1,000,000人": "一百万人",
    "增长了12.5%": "增长了百分之十二点五",
    "5~10%的人": "百分之五到百分之十的人",
    "1/3的人": "三分之一的人",
    "第3名": "第三名",
    "№5": "第五",
    "100+人": "一百多人",
    "-5到10度": "负五到十度",
    "增长40%-60%": "增长百分之四十到百分之六十",
    "约1/4的用户": "约四分之一的用户",
    "3×10^8": "三乘十的八次方",
    "第101st": "第一百零一",
    "2个，12个，2000人": "两个，十二个，两千人",
    "3×2=6，6÷2=3，5-3=2": "三乘二等于六，六除以二等于三，五减三等于二",
    "第Ⅲ章，①苹果": "第三章，一 苹果",
    # money
    "价格是¥99.5元。": "价格是九十九点五元。",
    "￥1,234": "一千二百三十四元",
    "¥1,000.00": "一千元",
    "¥99.5元/月": "九十九点五元每月",
    "RMB 99": "九十九元",
    "$30，30美元，US$1.5亿": "三十美元，三十美元，一点五亿美元",
    "100USD": "一百美元",
    "3.5元/斤": "三点五元每斤",
    # units
    "5kg苹果，100g糖，500mL水": "五千克苹果，一百克糖，五百毫升水",
    "50㎡，100元/㎡": "五十平方米，一百元每平方米",
    "37.5℃": "三十七点五摄氏度",
    "时速100km/h，60公里/小时": "时速每小时一百公里，六十公里每小时",
    "3.5GHz": "三点五吉赫",
    # dates and times
    "2026年11月3日": "二零二六年十一月三日",
    "2026-11-03": "二零二六年十一月三日",
    "2日，2年": "二日，两年",
    "下午3:30开始": "下午三点三十分开始",
    "2点半": "两点半",
    "10:00-12:00": "十点到十二点",
    "10月1日—7日": "十月一日到七日",
    "1980-2020年": "一九八零到二零二零年",
    "（2020-2022）": "（二零二零年到二零二二年）",
    "2024/5/1~5/7": "二零二四年五月一日到五月七日",
    "第2-3章，1～3天": "第二到三章，一到三天",
    "比分是3-2": "比分是三比二",
    # figures that are names
    "电话138-1234-5678": "电话幺三八幺二三四五六七八",
    "电话010-88886666": "电话零一零八八八八六六六六",
    "住在502室": "住在五零二室",
    "验证码是382916": "验证码是三八二九一六",
    "10086客服": "一零零八六客服",
    "ISBN 978-7-5366": "ISBN 九七八 七 五三六六",
    "G1234次列车，A380": "G一二三四次列车，A三八零",
    "用GPT-4和COVID-19": "用GPT 四和COVID 十九",
    "升级到3.11.4版": "升级到三点十一点四版",
    # addresses and signs
    "请看www.example.com": "请看 W W W 点 example 点 com",
    "邮箱是a.b@example.cn。": "邮箱是 a 点 b at example 点 C N。",
    "C++和C#": "C加加和C sharp",
    "他/她和A&B": "他、她和A and B",
    "他排1st": "他排first",
    "你好😀，世界★": "你好，世界 ",
}

ENGLISH = {
    "1,234,567 people": "one million two hundred thirty four thousand five hundred and sixty seven people",
    "1,000 or 1000 times": "one thousand or one thousand times",
    "1,234 of them": "one thousand two hundred and thirty four of them",
    "up 12.5%": "up twelve point five percent",
    "2/3 of it": "two thirds of it",
    "the 21st of 3": "the twenty first of three",
    "It costs $3.50.": "It costs three dollars and fifty cents.",
    "only $0.99": "only ninety nine cents",
    "about $1,234.56": "about one thousand two hundred and thirty four dollars and fifty six cents",
    "a $3.5 million deal": "a three point five million dollars deal",
    "for 100 USD or US$5": "for one hundred dollars or five dollars",
    "a $5k prize, 10k people": "a five thousand dollars prize, ten thousand people",
    "the $1,299 laptop": "the one thousand two hundred and ninety nine dollars laptop",
    "₹7 each": "seven rupees each",
    "5kg at 25°C": "five kilograms at twenty five degrees Celsius",
    "the 100m race": "the one hundred meters race",
    "on November 3, 2024": "on November third, twenty twenty four",
    "since Jan. 5": "since January fifth",
    "from May 30 to Oct. 31": "from May thirtieth to October thirty first",
    "in the 2000s": "in the two thousands",
    "on 2024-11-03": "on the third of november twenty twenty four",
    "in the 1990s": "in the nineteen nineties",
    "in 1999 and 2008": "in nineteen ninety nine and two thousand eight",
    "from 1980-2020": "from nineteen eighty to twenty twenty",
    "It is 3:30 p.m.": "It is three thirty PM.",
    "call 555-1234": "call five five five, one two three four",
    "with GPT-4 and iPhone15": "with GPT four and iPhone fifteen",
    "No. 5 and #1": "number five and number one",
    "Python 3.11.4": "Python three point eleven point four",
    "World War II": "World War two",
    "Dr. Smith of the U.S. said": "doctor Smith of the US said",
    "see www.example.com": "see W W W dot example dot com",
    "mail john@example.org": "mail john at example dot org",
    "this & that": "this and that",
    "Call +1 800 now": "Call plus one eight hundred now",
    "n^2 > 3": "n to the power of two is greater than three",
    "a 3×4 grid, ±3": "a three by four grid, plus or minus three",
    'He said "3 of us".': 'He said "three of us".',
    "naïve café": "naïve café",
}


@pytest.fixture(scope="module")
def normalizer() -> Normalizer:
    return Normalizer()


@pytest.mark.parametrize(("written", "spoken"), CHINESE.items())
def test_chinese_is_read_in_chinese(normalizer: Normalizer, written: str, spoken: str) -> None:
    assert normalizer(written, "zh") == spoken


@pytest.mark.parametrize(("written", "spoken"), ENGLISH.items())
def test_english_is_read_in_english(normalizer: Normalizer, written: str, spoken: str) -> None:
    assert normalizer(written, "en") == spoken


def test_each_sentence_is_read_in_its_own_language(normalizer: Normalizer) -> None:
    mixed = "我有3个。I have 3 apples. 他说3"
    assert normalizer(mixed, "zh") == normalizer(mixed, "en") == "我有三个。I have three apples. 他说三"


def test_figures_alone_are_read_in_the_language_given(normalizer: Normalizer) -> None:
    assert normalizer("3.14", "zh") == "三点一四"
    assert normalizer("3.14", "en") == "three point one four"
    assert normalizer("3.14 😀", "ja") == "3.14 "


def test_lines_and_spaces_between_sentences_stay(normalizer: Normalizer) -> None:
    assert normalizer("第1行\n\n第2行\n It is 3. It is 4. ", "zh") == "第一行\n\n第二行\n It is three. It is four. "


def test_words_alone_stay_as_they_are(normalizer: Normalizer) -> None:
    for text in ("那天下午阳光很好，我们坐在院子里喝茶。", "It's a fine day -- isn't it? (Yes: “it is”!)"):
        assert normalizer(text, "zh") == text


def test_a_grammar_is_asked_only_where_it_may_change_something() -> None:
    for words in ("。" * 320, "< < <", "「…」", "", "A fine day."):
        assert not needs_grammar(words, "en")
    for words in ("。。3", "&", "// a", "World War II"):
        assert needs_grammar(words, "en")
    assert needs_grammar("3。", "zh")
    assert not needs_grammar("&。", "zh")


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=PUNCTUATION + "<> ", max_size=20))
def test_marks_alone_are_what_a_grammar_would_leave_as_they_are(marks: str) -> None:
    from wetext import reorder, tag, verbalize

    words = " ".join(marks.split())
    tagged = tag(words, "en", "tn")
    assert not needs_grammar(words, "en")
    assert not tagged or verbalize(reorder(tagged, "en", "tn"), "en", "tn").replace("\\", "") == words


@given(st.text() | st.text(alphabet='0123456789.,-+/:%$¥#@&*=<>()[]{}"~°²½ \n年月日点第二aXkm中', max_size=60))
def test_any_text_can_be_read(normalizer: Normalizer, text: str) -> None:
    for language in ("zh", "en"):
        assert normalizer(text, language).count("\n") == plain(text).count("\n")


def test_threads_may_share_one(normalizer: Normalizer) -> None:
    texts = [*CHINESE, *ENGLISH]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: normalizer(text, "zh"), texts * 3))
    assert together == [normalizer(text, "zh") for text in texts] * 3


def test_other_threads_go_on_while_a_long_text_is_read(normalizer: Normalizer) -> None:
    # The grammars hold the interpreter lock; read as a whole, this text would hold it for a second.
    text = "2026年11月3日，营收1234.5万元，同比增长12.5%，股价为¥99.5元，气温是-5到10度" * 50
    turns, done = 0, threading.Event()

    def read() -> None:
        normalizer(text, "zh")
        done.set()

    reader = threading.Thread(target=read)
    reader.start()
    while not done.wait(timeout=0.001):
        turns += 1
    reader.join()
    assert turns > 10


def test_importing_it_loads_no_grammar() -> None:
    import subprocess

    code = "import sys, cosystream.text.normalize; sys.exit('wetext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
