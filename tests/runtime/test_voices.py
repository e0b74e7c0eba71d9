"""Voices come and go while an engine speaks; whoever asks meanwhile is served or told why not."""

import asyncio
import threading
from dataclasses import replace

import pytest

from cosystream.errors import (
    CosystreamError,
    InvalidRequest,
    NotReady,
    Overloaded,
    ShuttingDown,
    SynthesisFailed,
    UnknownVoice,
    VoiceExists,
)
from cosystream.runtime.admission import Limits
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.runtime.voices import MOST_IN_LINE, named
from cosystream.types import Prompt, SynthesisRequest, Voice
from tests.support.cores import INFO, NOBODY_COMES_SECONDS, Builder, ScriptedCore
from tests.support.listening import broken_off, happened, heard

PROMPT = Prompt(b"RIFF", "hello")
CID = Voice("Cid", ("en",), "unknown", "cloned")


class ScriptedLibrary:
    """A ``VoiceLibrary`` that learns whatever it is given, unless the words of the recording tell it otherwise.

    ``hang`` does not return before ``wake``; ``refuse`` raises what is the caller's fault, ``stumble`` what is ours.
    """

    def __init__(self, core: ScriptedCore) -> None:
        self._core = core
        self.threads: set[threading.Thread] = set()
        self.hanging, self.wake = threading.Event(), threading.Event()

    def add(self, name: str, prompt: Prompt) -> Voice:
        self.threads.add(threading.current_thread())
        match prompt.text:
            case "refuse":
                raise InvalidRequest("refused", field="prompt_wav")
            case "stumble":
                raise RuntimeError("it stumbles")
            case "hang":
                self.hanging.set()
                self.wake.wait(NOBODY_COMES_SECONDS)
        if name in self._core.info.speakers:
            raise VoiceExists(name)
        voice = Voice(name, ("en",), "unknown", "cloned")
        self._core.info = replace(self._core.info, voices=(*self._core.info.voices, voice))
        return voice

    def remove(self, name: str) -> None:
        self.threads.add(threading.current_thread())
        gone = named(self._core.info, name)
        others = tuple(voice for voice in self._core.info.voices if voice != gone)
        self._core.info = replace(self._core.info, voices=others)

    def sample(self, name: str) -> bytes:
        self.threads.add(threading.current_thread())
        return named(self._core.info, name).name.encode()


def learner() -> tuple[ScriptedCore, ScriptedLibrary]:
    core = ScriptedCore(streams_at_once=2)
    core.library = library = ScriptedLibrary(core)
    return core, library


def as_cid(text: str) -> SynthesisRequest:
    return SynthesisRequest(text, speaker="Cid")


async def test_a_new_voice_can_be_asked_for_at_once_and_is_listed() -> None:
    core, library = learner()
    async with ThreadedEngine.running(lambda: core) as engine:
        with pytest.raises(UnknownVoice, match="no voice 'Cid'; there are Ann, Bob"):
            await engine.stream(as_cid("one")).__aenter__()
        assert await engine.add_voice("Cid", PROMPT) == CID
        assert engine.info.speakers == ("Ann", "Bob", "Cid")
        assert await engine.sample("Cid") == b"Cid"
        async with engine.stream(as_cid("one")) as stream:
            assert await heard(stream) == ["one"]
    assert not library.threads & ({threading.current_thread()} | core.threads)


async def test_who_speaks_with_a_voice_goes_on_when_it_is_removed() -> None:
    core, _ = learner()
    async with ThreadedEngine.running(lambda: core) as engine:
        await engine.add_voice("Cid", PROMPT)
        async with engine.stream(as_cid("one break two")) as stream:
            assert (await anext(stream)).sentence == "one"
            await engine.remove_voice("Cid")
            assert engine.info.speakers == ("Ann", "Bob")
            with pytest.raises(UnknownVoice):
                await engine.stream(as_cid("one")).__aenter__()
            assert not stream.ended


async def test_learning_disturbs_nobody_who_speaks() -> None:
    core, library = learner()
    async with ThreadedEngine.running(lambda: core) as engine:
        learning = asyncio.create_task(engine.add_voice("Cid", replace(PROMPT, text="hang")))
        await happened(library.hanging)
        async with engine.stream(SynthesisRequest("one two")) as stream:
            assert await heard(stream) == ["one", "two"]
        library.wake.set()
        assert await learning == CID


async def test_one_is_learnt_at_a_time_and_a_few_wait() -> None:
    core, library = learner()
    async with ThreadedEngine.running(lambda: core) as engine:
        first = asyncio.create_task(engine.add_voice("0", replace(PROMPT, text="hang")))
        await happened(library.hanging)
        others = [asyncio.create_task(engine.add_voice(str(n), PROMPT)) for n in range(1, MOST_IN_LINE + 1)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="wait to be learnt"):
            await engine.add_voice("9", PROMPT)
        library.wake.set()
        assert [voice.name for voice in await asyncio.gather(first, *others)] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [("refuse", InvalidRequest, "prompt_wav: refused"), ("stumble", SynthesisFailed, "the server's log says why")],
)
async def test_what_goes_wrong_is_told_and_the_engine_lives(words: str, kind: type[CosystreamError], said: str) -> None:
    core, _ = learner()
    async with ThreadedEngine.running(lambda: core) as engine:
        with pytest.raises(kind, match=said):
            await engine.add_voice("Cid", replace(PROMPT, text=words))
        assert engine.info == INFO
        assert await engine.add_voice("Cid", PROMPT) == CID


async def test_an_engine_whose_voices_are_fixed_says_which_one_learns() -> None:
    async with ThreadedEngine.running(ScriptedCore) as engine:
        with pytest.raises(InvalidRequest, match="'scripted' learns no voices; serve a CosyVoice checkpoint"):
            await engine.add_voice("Cid", PROMPT)
        with pytest.raises(InvalidRequest, match="only cloned ones are deleted"):
            await engine.remove_voice("Ann")
        with pytest.raises(UnknownVoice, match="'Ann' is part of the engine"):
            await engine.sample("Ann")
        for change in (engine.remove_voice, engine.sample):
            with pytest.raises(UnknownVoice, match="no voice 'Cid'; there are Ann, Bob"):
                await change("Cid")


async def test_the_server_s_default_speaker_stays() -> None:
    core, library = learner()
    library.add("Cid", PROMPT)
    async with ThreadedEngine.running(lambda: core, default_speaker="Cid") as engine:
        with pytest.raises(InvalidRequest, match="Cid is the default speaker of this server"):
            await engine.remove_voice("Cid")


async def test_while_there_is_no_core_the_voices_of_the_last_are_listed_and_none_is_changed() -> None:
    core, _ = learner()
    build = Builder(lambda: core, ScriptedCore)
    async with ThreadedEngine.running(build, Limits(first_back_off_seconds=30.0)) as engine:
        await engine.add_voice("Cid", PROMPT)
        async with engine.stream(as_cid("die")) as stream:
            _, error = await broken_off(stream)
            assert isinstance(error, SynthesisFailed)
        assert engine.info.speakers == ("Ann", "Bob", "Cid")
        for change in (engine.add_voice("Dan", PROMPT), engine.remove_voice("Cid"), engine.sample("Cid")):
            with pytest.raises(NotReady):
                await change


async def test_a_server_that_goes_away_learns_no_more() -> None:
    core, _ = learner()
    async with ThreadedEngine.running(lambda: core) as engine:
        engine.drain(10.0)
        with pytest.raises(ShuttingDown):
            await engine.add_voice("Cid", PROMPT)
