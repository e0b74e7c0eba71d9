import orjson
import pytest

from cosystream.errors import (
    CosystreamError,
    InvalidField,
    InvalidRequest,
    Overloaded,
    Stalled,
    SynthesisFailed,
    TextTooLong,
    UnknownVoice,
)
from cosystream.wire.native import Done, FailureEvent, Problem, Queued, Start, problem_of


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (InvalidField("speed", "is 9"), Problem("invalid_request", "speed: is 9", "speed")),
        (UnknownVoice("no voice 'x'"), Problem("unknown_voice", "no voice 'x'", "speaker")),
        (
            InvalidRequest("is silent", field="prompt_wav"),
            Problem("invalid_request", "prompt_wav: is silent", "prompt_wav"),
        ),
        (InvalidRequest("the body is not JSON"), Problem("invalid_request", "the body is not JSON")),
        (TextTooLong("text: has 6 characters"), Problem("text_too_long", "text: has 6 characters", "text")),
        (Overloaded("too many", retry_after_seconds=3.0), Problem("overloaded", "too many")),
        (SynthesisFailed("cannot"), Problem("synthesis_failed", "cannot")),
        (Stalled("no audio"), Problem("timeout", "no audio")),
    ],
)
def test_a_problem_says_what_programs_and_people_want_to_know(error: CosystreamError, problem: Problem) -> None:
    assert problem_of(error) == problem


def test_events_are_json_as_documented() -> None:
    events = [
        Queued("r1", position=3, eta_ms=420),
        Start("r1", sample_rate=24000, engine="tone", speaker="中文女", seed=7, encoding="hex"),
        Done(
            "r1",
            chunks=9,
            samples=110400,
            duration_ms=4600,
            first_audio_ms=83,
            queue_ms=1,
            rtf=0.11,
            underruns=0,
        ),
        FailureEvent(Problem("synthesis_failed", "…"), partial_audio=True),
    ]
    assert [orjson.loads(orjson.dumps(event)) for event in events] == [
        {"request_id": "r1", "position": 3, "eta_ms": 420},
        {
            "request_id": "r1",
            "sample_rate": 24000,
            "channels": 1,
            "format": "pcm_s16le",
            "encoding": "hex",
            "engine": "tone",
            "speaker": "中文女",
            "seed": 7,
        },
        {
            "request_id": "r1",
            "chunks": 9,
            "samples": 110400,
            "duration_ms": 4600,
            "first_audio_ms": 83,
            "queue_ms": 1,
            "rtf": 0.11,
            "underruns": 0,
            "finish_reason": "stop",
        },
        {"error": {"type": "synthesis_failed", "message": "…", "field": None}, "partial_audio": True},
    ]
