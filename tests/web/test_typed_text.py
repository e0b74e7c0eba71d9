"""A text that is written and spoken at once: one timeline, whatever the pieces."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from cosystream.config import Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.errors import (
    CallerError,
    Cancelled,
    CosystreamError,
    InvalidRequest,
    Overloaded,
    SynthesisFailed,
    TextTooLong,
    UnknownRequest,
)
from cosystream.runtime.admission import Limits
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import Engine
from cosystream.runtime.resolving import resolve
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import AudioChunk, Prompt, SynthesisRequest
from cosystream.web.metrics import Metrics
from cosystream.web.services import Services
from cosystream.web.typed_text import TypedText, ends_sentence
from tests.support.cores import ScriptedCore
from tests.support.engines import INFO, ScriptedEngine, chunk

STORY = "今天天气很好。Shall we go for a walk? Dr. Lee says 3.14, e.g. pi.\n“好的！”她说，“3 点见。”……"
ASKED = SynthesisRequest("")


def services(engine: Engine, **settings: int) -> Services:
    return Services(engine, Settings(**settings), Metrics(engine), ping_seconds=4.0)  # type: ignore[arg-type]


@asynccontextmanager
async def tones() -> AsyncIterator[Services]:
    async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
        yield services(engine)


@asynccontextmanager
async def scripted(limits: Limits | None = None) -> AsyncIterator[tuple[Services, ScriptedCore]]:
    """Words at a core that keeps a diary. The job of its warm-up is number 1."""
    core = ScriptedCore(streams_at_once=4)
    async with ThreadedEngine.running(lambda: core, limits) as engine:
        yield services(engine), core


async def all_of(typed: TypedText) -> list[AudioChunk]:
    async with asyncio.timeout(20):
        return [piece async for piece in typed.speech()]


def pcm(chunks: list[AudioChunk]) -> bytes:
    return b"".join(piece.pcm for piece in chunks)


def words(chunks: list[AudioChunk]) -> list[str]:
    return [piece.sentence for piece in chunks if piece.sentence is not None]


async def whole(services: Services, text: str, **asked: float) -> bytes:
    """What one request of ``text`` gives."""
    async with services.engine.stream(replace(SynthesisRequest(text, seed=7), **asked)) as stream:  # type: ignore[arg-type]
        return b"".join([piece.pcm async for piece in stream])


# One timeline


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("speed", [1.0, 1.5])
async def test_in_pieces_of_any_size_a_text_sounds_as_in_one_request(size: int, speed: float) -> None:
    async with tones() as there:
        typed = TypedText(there, SynthesisRequest("", speed=speed))
        reading = asyncio.create_task(all_of(typed))
        for start in range(0, len(STORY), size):
            typed.write(STORY[start : start + size])
            await asyncio.sleep(0)
        typed.end()
        assert pcm(await reading) == await whole(there, STORY, speed=speed)
        assert typed.num_chars == len(STORY)


async def test_what_is_written_before_anybody_listens_is_one_job() -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine), SynthesisRequest("not this", "anna", speed=1.5, seed=3))
    typed.write("One. Two. ")
    typed.write("Three.")
    typed.end()
    await all_of(typed)
    assert engine.requests == [resolve(SynthesisRequest("One. Two. Three.", "anna", speed=1.5, seed=3), INFO)]
    assert engine.open == 0


async def test_all_jobs_have_the_voice_and_the_seed_that_are_told_at_the_beginning() -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine), SynthesisRequest(""))
    request = typed.request
    assert (request.speaker, request.voice) == ("anna", INFO.voices[0])
    assert request.seed is not None
    async with aclosing(typed.speech()) as speech:
        typed.write("One. T")
        await anext(speech)
        typed.write("wo.")
        typed.end()
        assert len([piece async for piece in speech]) == 1
    assert engine.requests == [replace(request, text="One. "), replace(request, text="Two.")]


@pytest.mark.parametrize("lacks", [{"can_instruct": False}, {"can_clone": False}, {"voices": ()}])
async def test_what_the_engine_lacks_is_found_before_anything_is_written(lacks: dict[str, Any]) -> None:
    asked = SynthesisRequest("", instruction="whisper", prompt=None if "voices" in lacks else Prompt(b"RIFF"))
    with pytest.raises(CallerError):
        TypedText(services(ScriptedEngine(info=replace(INFO, **lacks))), asked)


async def test_what_is_written_while_a_job_is_computed_is_the_next_one() -> None:
    engine = ScriptedEngine(chunk(), chunk())
    typed = TypedText(services(engine), ASKED)
    async with aclosing(typed.speech()) as speech:
        typed.write("One. T")
        await anext(speech)
        for sentence in ("wo. T", "hree. F", "our. F", "ive"):
            typed.write(sentence)
        assert engine.open == 1
        typed.end()
        assert len([piece async for piece in speech]) == 3
    assert [request.text for request in engine.requests] == ["One. ", "Two. Three. Four. Five"]


async def test_between_jobs_there_is_the_silence_that_the_engine_puts_between_sentences() -> None:
    engine = ScriptedEngine(chunk(), info=replace(INFO, sentence_pause_seconds=0.3))
    typed = TypedText(services(engine), SynthesisRequest("", speed=2.0))
    async with aclosing(typed.speech()) as speech:
        typed.write("He said “one.” ")
        typed.write("T")
        await anext(speech)
        typed.write("wo")
        typed.flush()
        silence = await anext(speech)
        assert (silence.num_samples, any(silence.pcm)) == (3600, False)
        await anext(speech)
        typed.write("three.")
        typed.end()
        assert [piece async for piece in speech] == [chunk()]


async def test_the_figures_of_all_jobs_are_put_together_and_counted() -> None:
    engine = ScriptedEngine(chunk(1200), chunk(1200))
    there = services(engine)
    typed = TypedText(there, ASKED)
    assert (typed.report.chunks, typed.report.rtf, typed.report.first_audio_seconds) == (0, 0.0, None)
    async with aclosing(typed.speech()) as speech:
        typed.write("One. T")
        await anext(speech)
        typed.end()
        async for _ in speech:
            pass
    report = typed.report
    assert (report.chunks, report.samples, report.underruns, len(report.gaps_seconds)) == (4, 4800, 2, 2)
    assert (report.audio_seconds, report.rtf, report.queue_seconds, report.first_audio_seconds) == (
        0.2,
        0.125,
        0.25,
        0.5,
    )
    assert b"cosystream_audio_seconds_total 0.2" in there.metrics.exposition()


@pytest.mark.parametrize("end", ["。", "?", "…", ".", "!”)", "。」 \n", "\n", ") \n ", "\n\t"])
def test_a_sentence_has_ended_where_its_mark_or_its_line_has(end: str) -> None:
    assert ends_sentence(f"so it is{end}")


@pytest.mark.parametrize("text", ["", " ", "so", "so it is,", "so)", "Yes. No", "a\nb ", "Yes. )"])
def test_a_sentence_has_not_ended_elsewhere(text: str) -> None:
    assert not ends_sentence(text)


def test_however_many_lines_there_are_each_is_looked_at_once() -> None:
    assert not ends_sentence("\n" * 1_000_000 + "so")  # else it takes an hour


# What is to be said


async def test_what_has_nothing_to_say_is_skipped() -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine), ASKED)
    for piece in ("！", "……\n", "  \n", "One", ".\n", "!\n", " “”", "\n"):
        typed.write(piece)
    typed.end()
    assert len(await all_of(typed)) == 1
    assert [request.text for request in engine.requests] == ["One.\n"]


async def test_it_is_silent_when_all_that_says_something_has_been_heard() -> None:
    typed = TypedText(services(ScriptedEngine(chunk())), ASKED)
    async with aclosing(typed.speech()) as speech:
        typed.write("…… ")
        assert typed.is_silent
        typed.write("One")
        assert not typed.is_silent
        typed.flush()
        await anext(speech)
        assert not typed.is_silent
        typed.write("! ")
        typed.end()
        assert [piece async for piece in speech] == []
    assert typed.is_silent


async def test_it_is_not_silent_because_its_reader_has_left() -> None:
    typed = TypedText(services(ScriptedEngine(chunk(), chunk())), ASKED)
    async with aclosing(typed.speech()) as speech:
        typed.write("One.\n")
        await anext(speech)
    assert not typed.is_silent


@pytest.mark.parametrize("text", ["", "  ", "……！\n", "。" * 100])
async def test_nothing_to_say_at_all_is_found_at_the_end(text: str) -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine), ASKED)
    typed.write(text)
    typed.end()
    with pytest.raises(InvalidRequest, match="nothing to say"):
        await all_of(typed)
    assert engine.requests == []


async def test_more_than_the_longest_text_is_refused_and_nothing_of_it_taken() -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine, max_text_chars=10), ASKED)
    typed.write("12345")
    typed.flush()
    with pytest.raises(TextTooLong, match="11 characters by now; 10 are the most"):
        typed.write("678901")
    typed.write("67890")
    typed.end()
    await all_of(typed)
    assert [request.text for request in engine.requests] == ["1234567890"]


async def test_what_is_written_behind_the_end_is_refused() -> None:
    typed = TypedText(services(ScriptedEngine(chunk())), ASKED)
    typed.write("One.")
    typed.end()
    with pytest.raises(InvalidRequest, match="has ended"):
        typed.write("Two.")


async def test_a_flush_speaks_what_would_be_held_back() -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine), ASKED)
    async with aclosing(typed.speech()) as speech:
        typed.write("今年是2026")
        typed.flush()
        await anext(speech)
        typed.end()
        assert [piece async for piece in speech] == []
    assert [request.text for request in engine.requests] == ["今年是2026"]


async def test_after_a_pause_all_is_spoken_but_an_unfinished_end() -> None:
    engine = ScriptedEngine(chunk())
    typed = TypedText(services(engine), ASKED, idle_flush_seconds=0.01)
    async with aclosing(typed.speech()) as speech:
        typed.write("今年是2026")
        await anext(speech)
        typed.write("年")
        typed.end()
        async for _ in speech:
            pass
    assert [request.text for request in engine.requests] == ["今年是", "2026年"]


# How it ends


async def test_a_generator_that_is_closed_ends_its_jobs() -> None:
    async with scripted() as (there, core):
        typed = TypedText(there, ASKED)
        speech = typed.speech()
        typed.write("one hold .\nTwo hold .\n")
        await anext(speech)
        typed.write("Three hold .\n")
        await speech.aclose()
        assert there.engine.load.open == 0
        typed.write("Four.\n")  # is for nobody
        assert there.engine.load.open == 0
    assert core.jobs_that_were("cancel") == core.jobs_that_were("submit")[1:]


@pytest.mark.parametrize("text", ["one hold .\n", "ponder one.\n", ""])
async def test_a_task_that_is_cancelled_ends_its_jobs_whatever_it_waits_for(text: str) -> None:
    async with scripted() as (there, core):
        typed = TypedText(there, ASKED)
        reading = asyncio.create_task(all_of(typed))
        typed.write(text)
        await until(lambda: not text or core.pondering.is_set() or len(core.jobs_that_were("submit")) == 2)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        core.pondered.set()
        assert there.engine.load.open == 0


async def test_the_end_of_the_reading_task_is_enough_where_nobody_closes() -> None:
    async with scripted() as (there, _):
        typed = TypedText(there, ASKED)
        speech = typed.speech()

        async def read_one() -> AudioChunk:
            return await anext(speech)

        typed.write("one hold .\nT")
        await asyncio.create_task(read_one())
        await until(lambda: there.engine.load.open == 0)
        await speech.aclose()


async def test_cancelled_by_whoever_writes_its_reader_is_told() -> None:
    async with scripted() as (there, _):
        typed = TypedText(there, ASKED)
        async with aclosing(typed.speech()) as speech:
            typed.write("one two three hold .\nTwo hold .\n")
            await anext(speech)
            typed.cancel()
            assert there.engine.load.running == 0
            with pytest.raises(Cancelled):
                await anext(speech)
        assert there.engine.load.open == 0


async def test_cancelled_while_there_is_nothing_to_say_its_reader_is_told() -> None:
    typed = TypedText(services(ScriptedEngine()), ASKED)
    reading = asyncio.create_task(all_of(typed))
    await asyncio.sleep(0)
    typed.cancel()
    with pytest.raises(Cancelled):
        await reading


@pytest.mark.parametrize("num_turns", range(8))
async def test_cancelled_at_any_turn_of_the_event_loop_its_reader_is_told(num_turns: int) -> None:
    async with scripted() as (there, _):
        typed = TypedText(there, ASKED)
        typed.write("one hold .\n")
        reading = asyncio.create_task(all_of(typed))
        for _ in range(num_turns):
            await asyncio.sleep(0)
        typed.cancel()
        with pytest.raises(Cancelled):
            await reading
        assert there.engine.load.open == 0


async def test_its_jobs_can_be_cancelled_by_the_id_of_the_request() -> None:
    async with scripted() as (there, _):
        typed = TypedText(there, ASKED, request_id="r1")
        async with aclosing(typed.speech()) as speech:
            typed.write("one hold .\n")
            await anext(speech)
            there.cancel("r1")
            with pytest.raises(Cancelled):
                await anext(speech)
        with pytest.raises(UnknownRequest):
            there.cancel("r1")


# What goes wrong


async def test_what_the_engine_refuses_its_reader_is_told() -> None:
    engine = ScriptedEngine(refusal=Overloaded("full", retry_after_seconds=2.0))
    typed = TypedText(services(engine), ASKED)
    typed.write("One.\n")
    with pytest.raises(Overloaded):
        await all_of(typed)
    typed.write("Two.\n")
    assert len(engine.requests) == 1


async def test_one_job_at_a_time_is_all_that_it_needs() -> None:
    async with scripted(Limits(max_streams=1, max_queue=0)) as (there, core):
        typed = TypedText(there, ASKED)
        async with aclosing(typed.speech()) as speech:
            typed.write("one two.\nT")
            heard = [await anext(speech)]
            typed.write("hree.\nF")
            heard.append(await anext(speech))
            typed.write("our.")
            typed.end()
            heard += [piece async for piece in speech]
        assert words(heard) == ["one", "two.", "Three.", "Four."]
    assert len(core.jobs_that_were("submit")) == 3


async def test_what_cannot_be_said_is_told_behind_what_was_said_before() -> None:
    async with scripted() as (there, _):
        typed = TypedText(there, ASKED)
        async with aclosing(typed.speech()) as speech:
            typed.write("one two.\nT")
            heard = [await anext(speech)]
            typed.write(" refuse \n")
            heard.append(await anext(speech))
            with pytest.raises(InvalidRequest, match="refused"):
                await anext(speech)
        assert words(heard) == ["one", "two."]
        assert there.engine.load.open == 0


@pytest.mark.parametrize("word", ["fail", "stumble"])
async def test_what_breaks_off_its_reader_is_told(word: str) -> None:
    async with scripted() as (there, _):
        typed = TypedText(there, ASKED)
        typed.write(f"one {word} two.\n")
        with pytest.raises(SynthesisFailed):
            await all_of(typed)
        assert there.engine.load.open == 0


async def test_what_nobody_has_foreseen_is_an_error_of_ours() -> None:
    engine = ScriptedEngine(refusal=ZeroDivisionError())
    typed = TypedText(services(engine), ASKED)
    typed.write("One.\n")
    with pytest.raises(CosystreamError, match="its log says why"):
        await all_of(typed)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - on a thread
            await asyncio.sleep(0)
