"""``/v1/voices``: what there is, and how it comes and goes."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from starlette.types import ASGIApp

from cosystream.audio import wav
from cosystream.audio.pcm import to_pcm
from cosystream.config import ApiKeys, Settings
from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.utterance import Utterance
from cosystream.engines.tone import ToneSynthesizer
from cosystream.errors import CosystreamError, NotKept, NotReady, Overloaded, Stalled, TooManyVoices
from cosystream.runtime.admission import Limits
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import Output
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import JobId, Prompt, SynthesisRequest
from cosystream.web.app import create_app
from tests.engines.cosyvoice.conftest import TINY
from tests.support.asgi import Answer, ask, exchange
from tests.support.engines import INFO, ScriptedEngine, chunk
from tests.support.golden import GOLDEN

VOICES = "/v1/voices"
STREAM = "/synthesize/stream"


def recording(seed: int = 0, seconds: float = 2.0) -> bytes:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * 24_000))
    return wav.encode(to_pcm((0.1 * noise).astype(np.float32)), 24_000)


async def upload(app: ASGIApp, name: str = "ann", file: bytes = b"RIFF", **fields: Any) -> Answer:
    form = {"data": {"name": name, "prompt_text": "hello there"}, "files": {"prompt_wav": ("ann.wav", file)}}
    return await ask(app, "POST", VOICES, **form | fields)


async def names(app: ASGIApp) -> list[str]:
    return [voice["name"] for voice in (await ask(app, "GET", VOICES)).json["voices"]]


def problem(answer: Answer) -> tuple[int, str, str | None]:
    error = answer.json["error"]
    return answer.status, error["type"], error["field"]


# What there is


async def test_all_voices_are_listed_with_what_is_known_of_them() -> None:
    app = create_app(ScriptedEngine(), Settings())
    listed = (await ask(app, "GET", VOICES)).json
    anna = {"name": "anna", "languages": ["de", "en"], "gender": "female", "kind": "preset", "sample_rate": 24_000}
    assert listed["voices"][0] == anna
    assert (listed["default_speaker"], listed["note"]) == ("anna", "")
    assert (await ask(app, "GET", f"{VOICES}/anna")).json == anna
    assert (await ask(app, "GET", f"{VOICES}/{quote('中文女')}")).json["name"] == "中文女"


async def test_the_server_s_default_speaker_is_the_one_that_is_told() -> None:
    app = create_app(ScriptedEngine(), Settings(default_speaker="中文女"))
    assert (await ask(app, "GET", VOICES)).json["default_speaker"] == "中文女"


@pytest.mark.parametrize(
    "name", ["bob", "..", "%2e%2e%2fetc%2fpasswd", "..%5c..%5cboot.ini", "a%00b", "%ff%fe", "x" * 5000, "%F0%9F%98%80"]
)
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("GET", "/sample")])
async def test_nobody_of_a_strange_name_is_there(name: str, method: str, suffix: str) -> None:
    answer = await ask(create_app(ScriptedEngine(), Settings()), method, f"{VOICES}/{name}{suffix}")
    assert answer.status == 404
    assert answer.json["error"]["type"] in ("unknown_voice", "unknown_request")


async def test_an_engine_that_is_loading_says_so() -> None:
    app = create_app(ScriptedEngine(info=NotReady("loading", retry_after_seconds=1.0)), Settings())
    for target in (VOICES, f"{VOICES}/anna", f"{VOICES}/anna/sample"):
        answer = await ask(app, "GET", target)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


# How one comes and goes, over a fake engine


async def test_a_voice_that_is_uploaded_is_there_and_can_be_heard_and_deleted() -> None:
    engine = ScriptedEngine(chunk())
    app = create_app(engine, Settings())
    answer = await upload(app, "Zoë-2")
    entry = {"name": "Zoë-2", "languages": ["en"], "gender": "unknown", "kind": "cloned", "sample_rate": 24_000}
    assert (answer.status, answer.json) == (201, entry)
    assert answer.headers["location"] == "voices/Zo%C3%AB-2"
    assert engine.prompts == {"Zoë-2": Prompt(b"RIFF", "hello there")}
    assert (await ask(app, "GET", f"/v1/{answer.headers['location']}")).json == entry
    assert "Zoë-2" in (await ask(app, "GET", "/speakers")).json["speakers"]
    sample = await ask(app, "GET", f"{VOICES}/Zo%C3%AB-2/sample")
    assert (sample.status, sample.headers["content-type"], sample.body) == (200, "audio/wav", b"RIFF")
    gone = await ask(app, "DELETE", f"{VOICES}/Zoe%CC%88-2")  # the same name, decomposed
    assert (gone.status, gone.body) == (204, b"")
    assert await names(app) == list(INFO.speakers)


async def test_json_will_do_as_well_and_the_words_may_be_left_out() -> None:
    engine = ScriptedEngine()
    fields = {"name": "ann", "prompt_wav": base64.b64encode(b"RIFF").decode()}
    assert (await ask(create_app(engine, Settings()), "POST", VOICES, json=fields)).status == 201
    assert engine.prompts == {"ann": Prompt(b"RIFF")}


@pytest.mark.parametrize(
    "name", ["../../evil", "..", "a/b", "/etc/passwd", "C:\\x", "ann.wav", "a\0b", "a b", "prompt_wav", "", "x" * 65]
)
async def test_a_name_that_is_none_is_refused_before_anything_is_learnt(name: str) -> None:
    engine = ScriptedEngine()
    answer = await upload(create_app(engine, Settings()), name)
    assert problem(answer) == (422, "invalid_request", "name")
    assert engine.prompts == {}


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"data": {"name": "ann"}, "files": None}, 422, "prompt_wav"),
        ({"files": {"prompt_wav": ("ann.wav", b"")}}, 422, "prompt_wav"),
        ({"data": {"name": "ann", "prompt_wav": "a path"}, "files": None}, 422, "prompt_wav"),
        ({"data": {"name": "ann", "prompt_text": "x" * 1001}}, 422, "prompt_text"),
        ({"data": {"name": "ann", "gender": "female"}}, 422, "gender"),
        ({"data": {"name": ["ann", "bob"]}}, 422, "name"),
        ({"data": None, "files": None, "json": {"name": "ann", "prompt_wav": "no base64!"}}, 422, "prompt_wav"),
        ({"data": None, "files": None, "json": {"name": 7, "prompt_wav": "AAAA"}}, 422, "name"),
        ({"data": None, "files": None, "json": ["ann"]}, 400, None),
        ({"data": None, "files": None, "content": b"{"}, 400, None),
        ({"data": None, "files": None, "content": b"RIFF", "headers": {"content-type": "audio/wav"}}, 400, None),
    ],
)
async def test_a_broken_upload_names_what_is_wrong(fields: dict[str, Any], status: int, field: str | None) -> None:
    engine = ScriptedEngine()
    answer = await upload(create_app(engine, Settings()), **fields)
    assert problem(answer) == (status, "invalid_request", field)
    assert engine.prompts == {}


async def test_an_upload_that_is_cut_off_is_nobody_s_voice() -> None:
    engine = ScriptedEngine()
    app = create_app(engine, Settings())
    half = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nann\r\n--b\r\nContent-Disp'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with exchange(app, "POST", VOICES, body=[half], cut_short=True, headers=headers) as leaving:
        leaving.leave()
        assert (await leaving.ended()).status == 400
    assert (engine.prompts, await names(app)) == ({}, list(INFO.speakers))


async def test_a_body_past_the_limit_is_too_large() -> None:
    answer = await upload(create_app(ScriptedEngine(), Settings(max_body_bytes=1000)), file=bytes(2000))
    assert problem(answer) == (413, "upload_too_large", None)


@pytest.mark.parametrize("name", ["ann", "anna"])
async def test_a_name_that_is_taken_is_a_conflict(name: str) -> None:
    app = create_app(ScriptedEngine(), Settings())
    await upload(app)
    assert problem(await upload(app, name)) == (409, "voice_exists", None)


async def test_presets_stay() -> None:
    app = create_app(ScriptedEngine(), Settings())
    assert problem(await ask(app, "DELETE", f"{VOICES}/anna")) == (400, "invalid_request", None)
    assert problem(await ask(app, "GET", f"{VOICES}/anna/sample"))[:2] == (404, "unknown_voice")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (TooManyVoices("no"), 409, "too_many_voices"),
        (NotKept("no"), 507, "storage_failed"),
        (Overloaded("no", retry_after_seconds=5.0), 503, "overloaded"),
        (Stalled("no"), 504, "timeout"),
    ],
)
async def test_what_an_engine_refuses_has_its_status(error: CosystreamError, status: int, kind: str) -> None:
    assert problem(await upload(create_app(ScriptedEngine(refusal=error), Settings()))) == (status, kind, None)


async def test_each_key_may_upload_so_many_an_hour() -> None:
    app = create_app(ScriptedEngine(), Settings(uploads_per_hour=2, api_keys=ApiKeys(["s3cret", "other"])))
    ann, bob = ({"x-api-key": key} for key in ("s3cret", "other"))
    assert [(await upload(app, f"ann{n}", headers=ann)).status for n in range(2)] == [201, 201]
    refused = await upload(app, "ann2", headers=ann)
    assert problem(refused) == (429, "rate_limited", None)
    assert 1790 < int(refused.headers["retry-after"]) <= 1800
    assert (await upload(app, "bob", headers=bob)).status == 201
    assert (await upload(app, "nobody")).status == 401
    assert (await ask(app, "GET", VOICES, headers=ann)).status == 200


async def test_without_keys_each_address_may_and_what_is_malformed_does_not_count() -> None:
    app = create_app(ScriptedEngine(), Settings(uploads_per_hour=1))
    assert [(await upload(app, name)).status for name in ("../ann", "ann", "bob")] == [422, 201, 429]


# Over the real thing


@asynccontextmanager
async def serving(options: CosyVoiceOptions, version: str = "v3") -> AsyncIterator[ASGIApp]:
    def build() -> CosyVoiceCore:
        return CosyVoiceCore(GOLDEN / version / "model", options, clock=lambda: 0.0)

    async with ThreadedEngine.running(build, Limits(first_back_off_seconds=0.01)) as engine:
        yield create_app(engine, Settings())


class MortalCore(CosyVoiceCore):
    """Dies of the text ``die``."""

    def __init__(self, options: CosyVoiceOptions) -> None:
        super().__init__(GOLDEN / "v3" / "model", options, clock=lambda: 0.0)
        self._is_dying = False

    def prepare(self, request: SynthesisRequest) -> Utterance:
        self._is_dying = request.text == "die"
        return super().prepare(request)

    def step(self) -> Sequence[tuple[JobId, Output]]:
        if self._is_dying:
            raise RuntimeError("it dies, as it was told to")
        return super().step()


@pytest.fixture(name="options")
def _options(tmp_path: Path) -> CosyVoiceOptions:
    return replace(TINY, voices_dir=tmp_path / "voices", cache_dir=tmp_path / "cache")


async def speak(app: ASGIApp, **fields: object) -> bytes:
    answer = await ask(app, "POST", STREAM, json={"text": "hello world", "seed": 5, "format": "pcm"} | fields)
    assert answer.status == 200, answer.body
    return answer.body


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_a_voice_is_uploaded_spoken_with_before_and_after_a_restart_and_deleted(
    options: CosyVoiceOptions, version: str
) -> None:
    async with serving(options, version) as app:
        before = await names(app)
        assert (await upload(app, "ann", recording())).status == 201
        assert await names(app) == [*before[:2], "ann", *before[2:]]
        pcm = await speak(app, speaker="ann")
        in_base64 = base64.b64encode(recording()).decode()
        assert await speak(app, prompt_wav=in_base64, prompt_text="hello there") == pcm  # zero-shot is the same voice
        assert await speak(app, speaker="spk_a") != pcm
        sample = await ask(app, "GET", f"{VOICES}/ann/sample")
        assert sample.body == recording()
    async with serving(options, version) as app:
        assert await speak(app, voice="ann") == pcm
        assert (await ask(app, "GET", f"{VOICES}/ann")).json["kind"] == "cloned"
        assert (await ask(app, "DELETE", f"{VOICES}/ann")).status == 204
        gone = await ask(app, "POST", STREAM, json={"text": "hello", "speaker": "ann"})
        assert problem(gone) == (404, "unknown_voice", "speaker")
        assert await names(app) == before
    assert list(options.voices_dir.iterdir()) == []


async def test_who_listens_hears_all_of_a_voice_that_is_deleted_meanwhile(options: CosyVoiceOptions) -> None:
    async with serving(options) as app:
        await upload(app, "ann", recording())
        fields = {"text": "hello world. " * 5, "speaker": "ann", "seed": 5, "format": "pcm"}
        whole = await speak(app, **fields)
        async with exchange(app, "POST", STREAM, json=fields) as listening:
            await listening.next()
            await listening.next()
            assert (await ask(app, "DELETE", f"{VOICES}/ann")).status == 204
            heard = await listening.ended()
        assert (heard.is_whole, len(heard.body)) == (True, len(whole))


async def test_of_two_uploads_of_one_name_at_once_one_is_a_conflict(options: CosyVoiceOptions) -> None:
    async with serving(options) as app:
        answers = await asyncio.gather(*(upload(app, "ann", recording(seed)) for seed in range(3)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409]
        (won,) = [seed for seed, answer in enumerate(answers) if answer.status == 201]
        assert (await ask(app, "GET", f"{VOICES}/ann/sample")).body == recording(won)


async def test_a_recording_that_is_none_is_refused_and_the_others_are_served(options: CosyVoiceOptions) -> None:
    async with serving(options) as app:
        for file in (b"RIFF....", recording(seconds=0.5), wav.encode(bytes(96_000), 24_000)):
            assert problem(await upload(app, "ann", file)) == (400, "invalid_request", "prompt_wav")
        assert "ann" not in await names(app)
        assert await speak(app, speaker="spk_a")


async def test_a_folder_that_cannot_be_written_is_told_without_its_path(options: CosyVoiceOptions) -> None:
    options.voices_dir.write_bytes(b"a file")
    async with serving(options) as app:
        answer = await upload(app, "ann", recording())
        assert problem(answer) == (507, "storage_failed", None)
        assert str(options.voices_dir) not in answer.body.decode()
        assert "ann" not in await names(app)


async def test_a_voice_outlives_the_death_of_its_engine(options: CosyVoiceOptions) -> None:
    async with ThreadedEngine.running(lambda: MortalCore(options), Limits(first_back_off_seconds=0.01)) as engine:
        app = create_app(engine, Settings())
        await upload(app, "ann", recording())
        pcm = await speak(app, speaker="ann")
        died = await ask(app, "POST", STREAM, json={"text": "die", "speaker": "ann", "format": "pcm"})
        assert problem(died) == (500, "synthesis_failed", None)
        assert "ann" in await names(app)  # while there is no engine
        await engine.ready()
        assert "ann" in await names(app)
        assert await speak(app, speaker="ann") == pcm


async def test_an_engine_that_cannot_learn_says_which_one_can() -> None:
    async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
        app = create_app(engine, Settings())
        answer = await upload(app)
        assert problem(answer) == (400, "invalid_request", "prompt_wav")
        assert "serve a CosyVoice checkpoint" in answer.json["error"]["message"]
        assert len(await names(app)) == 4
        assert problem(await ask(app, "DELETE", f"{VOICES}/{quote('中文女')}")) == (400, "invalid_request", None)
        assert problem(await ask(app, "GET", f"{VOICES}/{quote('中文女')}/sample"))[:2] == (404, "unknown_voice")


# What is told of it


async def test_openapi_describes_all_of_it() -> None:
    document = (await ask(create_app(ScriptedEngine(), Settings()), "GET", "/openapi.json")).json
    paths, schemas = document["paths"], document["components"]["schemas"]
    add = paths[VOICES]["post"]
    assert set(add["responses"]) == {"201", *"400 401 409 413 422 429 500 503 504 507".split()}
    assert set(add["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    multipart = schemas[add["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]]
    assert multipart["properties"]["prompt_wav"]["format"] == "binary"
    assert multipart["properties"]["name"]["maxLength"] == 64
    assert (sorted(multipart["required"]), multipart["additionalProperties"]) == (["name", "prompt_wav"], False)
    one = paths[f"{VOICES}/{{name}}"]
    assert {"204", "400", "404"} < set(one["delete"]["responses"])
    for described in (one["get"], one["delete"], paths[f"{VOICES}/{{name}}/sample"]["get"]):
        assert described["parameters"] == [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
        assert "unknown_voice" in described["responses"]["404"]["description"]
    assert schemas["VoiceEntry"]["properties"]["kind"]["enum"] == ["checkpoint", "cloned", "preset"]
