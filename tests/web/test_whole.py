"""Answers that leave when all of it has been spoken."""

import asyncio
import base64
import io
import wave
from typing import Any

import pytest
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.web.app import create_app
from cosystream.web.whole import PIECE_BYTES
from tests.support.asgi import Answer, ask, exchange
from tests.support.engines import ScriptedEngine, chunk

CHUNKS = [chunk(level=level) for level in range(1, 81)]
"""0.1 s each."""
SAMPLES = b"".join(piece.pcm for piece in CHUNKS)
FORMS = pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/synthesize", {"text": "hello"}),
        ("/synthesize", {"text": "hello", "encoding": "base64"}),
        ("/synthesize_complete", {"text": "hello"}),
        ("/v1/audio/speech", {"input": "hello", "response_format": "wav", "stream": False}),
        ("/v1/t2a_v2", {"text": "hello", "audio_setting": {"format": "wav", "sample_rate": 24_000}}),
    ],
    ids=["hex", "base64", "file", "openai", "minimax"],
)


def speaking(*chunks: Any) -> ASGIApp:
    return create_app(ScriptedEngine(*chunks), Settings())


def file_in(answer: Answer) -> bytes:
    if answer.headers["content-type"] != "application/json":
        return answer.body
    told = answer.json
    audio = told["audio"] if "audio" in told else told["data"]["audio"]
    return base64.b64decode(audio) if audio.startswith("UklG") else bytes.fromhex(audio)  # RIFF in base64


@FORMS
@pytest.mark.parametrize("num_chunks", [0, 1, 80])
async def test_it_is_a_complete_file_whose_length_is_told_before(
    path: str, fields: dict[str, Any], num_chunks: int
) -> None:
    answer = await ask(speaking(*CHUNKS[:num_chunks]), "POST", path, json=fields)
    assert (answer.status, answer.is_whole) == (200, True)
    assert answer.headers["content-length"] == str(len(answer.body))
    with wave.open(io.BytesIO(file_in(answer))) as file:
        assert file.getnframes() == 2400 * num_chunks
        assert file.readframes(file.getnframes()) == SAMPLES[: 4800 * num_chunks]


@FORMS
async def test_nothing_follows_its_last_byte_so_that_whoever_has_that_may_hang_up(
    path: str, fields: dict[str, Any]
) -> None:
    answer = await ask(speaking(*CHUNKS), "POST", path, json=fields)
    assert answer.messages[-1]["body"] != b""


@FORMS
async def test_it_leaves_in_pieces_so_that_it_holds_up_nobody(path: str, fields: dict[str, Any]) -> None:
    answer = await ask(speaking(*CHUNKS), "POST", path, json=fields)
    assert max(len(message.get("body", b"")) for message in answer.messages) <= 2 * PIECE_BYTES


@FORMS
async def test_audio_that_is_there_already_is_taken_in_turns_with_others(path: str, fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(*CHUNKS)
    async with exchange(create_app(engine, Settings()), "POST", path, json=fields) as listener:
        await engine.opened.wait()
        num_turns = 0
        while not listener.answer.messages:
            num_turns += 1
            await asyncio.sleep(0)
        assert num_turns >= len(CHUNKS)
        while not listener.answer.is_whole:
            num_turns += 1
            await asyncio.sleep(0)
        assert num_turns >= len(CHUNKS) + len(SAMPLES) // PIECE_BYTES
