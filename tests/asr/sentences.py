"""What is spoken to the recogniser: sentences that nothing was tuned on, with what is to be heard of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    said: str = ""
    """In words, where ``text`` has figures."""

    @property
    def words(self) -> str:
        return self.said or self.text


MANDARIN = (
    Sentence("2024年10月1日，李娜和张伟在杭州举行了婚礼。", "二零二四年十月一日，李娜和张伟在杭州举行了婚礼。"),
    Sentence(
        "这台笔记本电脑的价格是¥5999元，比上个月便宜了10%。",
        "这台笔记本电脑的价格是五千九百九十九元，比上个月便宜了百分之十。",
    ),
    Sentence("请在下午2:30之前把报告交给王经理。", "请在下午两点三十分之前把报告交给王经理。"),
    Sentence("珠穆朗玛峰的高度大约是8848米。", "珠穆朗玛峰的高度大约是八千八百四十八米。"),
    Sentence("这条地铁线路全长35.6公里，一共有28个车站。", "这条地铁线路全长三十五点六公里，一共有二十八个车站。"),
    Sentence("昨天晚上我们一起看了一场精彩的足球比赛。"),
    Sentence("妈妈做的饭菜又香又好吃，我们都吃得很饱。"),
    Sentence("科学家发现，多喝水、多运动对身体有好处。"),
    Sentence("小明问老师：“这道数学题应该怎么做呢？”"),
    Sentence("虽然工作很忙，但是他每个星期都会给父母打电话。"),
)

ENGLISH = (
    Sentence(
        "On July 4, 1996, Maria Garcia moved to Chicago with her family.",
        "On July fourth, nineteen ninety six, Maria Garcia moved to Chicago with her family.",
    ),
    Sentence(
        "The train to Boston departs from platform 9 in 15 minutes.",
        "The train to Boston departs from platform nine in fifteen minutes.",
    ),
    Sentence(
        "The new phone costs $799, which is 20% less than last year.",
        "The new phone costs seven hundred and ninety nine dollars, which is twenty percent less than last year.",
    ),
    Sentence("Professor Johnson teaches history at the university on Mondays."),
    Sentence("We walked along the river and watched the sun go down behind the mountains."),
    Sentence("Please send the documents to our office by Friday afternoon."),
    Sentence("More than three thousand people attended the concert last night."),
    Sentence("The recipe calls for two cups of flour and half a cup of sugar."),
    Sentence("He opened the window because the room was too warm."),
    Sentence("Our team won the final game by a score of five to three."),
)

MIXED = Sentence("我们公司最近开发了一个新的App，欢迎大家下载使用。")
