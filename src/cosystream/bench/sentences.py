"""What the voice is asked to say: Mandarin and English, short and long, with numbers and names in between."""

SHORT_MANDARIN = (
    "好的，马上就来。",
    "请问您几点出发？",
    "今天的会议改到下午三点。",
    "谢谢你，帮了我一个大忙！",
    "前方路口右转。",
)
LONG_MANDARIN = (
    "这座老桥建于1936年，全长一百二十米，至今仍是镇上的人每天过河必走的路。",
    "昨天晚上下了一整夜的雨，早晨推开窗户，院子里的桂花落了满地，空气里全是甜甜的香味。",
    "如果您需要修改预订，请在出发前二十四小时联系我们，否则将按照票价的30%收取手续费。",
    "她把那封信读了三遍，然后小心地折好，放进抽屉最里面，再也没有对任何人提起过这件事。",
    "研究人员发现，每天坚持步行四十分钟的人，睡眠质量明显更好，白天也更不容易感到疲倦。",
)
SHORT_ENGLISH = (
    "Sure, I'll be right there.",
    "What time does the train leave?",
    "Turn left at the next corner.",
    "That sounds like a good idea!",
    "Your table is ready.",
)
LONG_ENGLISH = (
    "The lighthouse keeper climbed the stairs every evening, and for forty years he never once missed the hour.",
    "If you would like to change your booking, please call us at least 24 hours before departure, free of charge.",
    "After the storm had passed, the whole village came down to the beach to see what the sea had left behind.",
    "Our newest model charges in under thirty minutes, weighs less than a kilogram, and lasts for two full days.",
    "She opened the old recipe book, found the page her grandmother had marked, and began to weigh the flour.",
)
MANDARIN_PASSAGE = (
    "春天来了，河边的柳树发出了新芽。孩子们放下书包，跑到草地上放风筝。老人们坐在长椅上晒太阳，聊着过去的事。"
    "傍晚的时候，炊烟从屋顶升起，一天就这样安静地结束了。"
)
ENGLISH_PASSAGE = (
    "The market opens at six in the morning. By seven, the fishermen have sold most of their catch, and the bakers "
    "are bringing out the second batch of bread. Come early if you want the good apples; they never last until noon."
)
PASSAGES = (MANDARIN_PASSAGE, ENGLISH_PASSAGE)
"""A quarter of a minute each, of several sentences."""

BY_KIND = {
    "Mandarin, short": SHORT_MANDARIN,
    "Mandarin, long": LONG_MANDARIN,
    "English, short": SHORT_ENGLISH,
    "English, long": LONG_ENGLISH,
}
MIXED = (
    tuple(
        text for kinds in zip(SHORT_MANDARIN, LONG_ENGLISH, LONG_MANDARIN, SHORT_ENGLISH, strict=True) for text in kinds
    )
    + PASSAGES
)
"""Short and long by turns, so that those who ask at once ask for different things."""
