"""A checkpoint's folder served by a process, and the folders that cannot be."""

import base64
import io
import json
import os
import pickle
import shutil
import subprocess
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import torch
from httpx_sse import connect_sse

from tests.support.golden import GOLDEN
from tests.support.server import COSYSTREAM, ServerProcess, running_server

pytestmark = pytest.mark.e2e

REQUEST = {"text": "hello world, it is a test", "speaker": "spk_a", "seed": 5}


@pytest.fixture(scope="module", params=["v2", "v3"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    with running_server(folder, "--model", str(GOLDEN / request.param / "model")) as process:
        yield process


def streamed(server: ServerProcess, **fields: object) -> bytes:
    """The PCM of the events, each of which brings some."""
    with (
        httpx.Client(timeout=60) as client,
        connect_sse(client, "POST", f"{server.url}/synthesize/stream", json=REQUEST | fields) as source,
    ):
        events = [(event.event, json.loads(event.data)) for event in source.iter_sse()]
    names = [name for name, _ in events if name != "queued"]
    assert (names[0], names[-1]) == ("start", "done")
    assert events[-1][1]["finish_reason"] == "stop"
    return b"".join(bytes.fromhex(data["audio"]) for name, data in events if name == "audio")


def is_same_speech(pcm: bytes, other: bytes) -> bool:
    """As long, and alike in the first hop: where later ones begin depends on how busy the machine is."""
    first_hop = 2 * 480 * 8  # bytes, of the eight frames that are heard of it at first
    return len(pcm) == len(other) and pcm[:first_hop] == other[:first_hop]


def test_a_checkpoint_streams_and_collects_the_same_speech(server: ServerProcess) -> None:
    pcm = streamed(server)
    assert len(pcm) % 960 == 0
    assert len(pcm) > 20_000
    answer = httpx.post(f"{server.url}/synthesize", json=REQUEST, timeout=60).json()
    with wave.open(io.BytesIO(bytes.fromhex(answer["audio"]))) as file:
        assert file.getframerate() == 24_000
        assert is_same_speech(file.readframes(file.getnframes()), pcm)


def test_the_default_names_exist_and_are_explained(server: ServerProcess) -> None:
    answer = httpx.get(f"{server.url}/speakers").json()
    assert answer["speakers"] == ["spk_a", "spk_b", "中文女", "中文男"]
    assert answer["default_speaker"] == "中文女"
    assert "中文女 is spk_a" in answer["note"]
    assert is_same_speech(streamed(server, speaker="中文女"), streamed(server, speaker="spk_a"))


def test_a_recording_is_imitated_and_an_instruction_followed(server: ServerProcess) -> None:
    recording = (GOLDEN / "v3" / "audio" / "prompt_16k.wav").read_bytes()
    in_json = streamed(server, prompt_wav=base64.b64encode(recording).decode(), prompt_text="hello", speaker=None)
    form = {"text": REQUEST["text"], "prompt_text": "hello", "seed": "5"}
    in_form = httpx.post(f"{server.url}/synthesize", data=form, files={"prompt_wav": ("me.wav", recording)}, timeout=60)
    assert in_form.headers["content-type"].startswith("audio/pcm")
    assert is_same_speech(in_form.content, in_json)
    assert not is_same_speech(in_json, streamed(server))
    assert not is_same_speech(streamed(server, instruction="speak slowly"), streamed(server))


def test_what_is_no_recording_is_refused(server: ServerProcess) -> None:
    broken = base64.b64encode(b"no sound at all").decode()
    answer = httpx.post(f"{server.url}/synthesize/stream", json=REQUEST | {"prompt_wav": broken})
    assert answer.status_code == 400
    assert "prompt_wav" in answer.text


class Bomb:
    """What a pickle does when it is loaded by something careless."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def copied(folder: Path) -> Path:
    shutil.copytree(GOLDEN / "v3" / "model", folder / "model")
    return folder / "model"


def empty(folder: Path) -> Path:
    (folder / "model").mkdir()
    return folder / "model"


def absent(folder: Path) -> Path:
    return folder / "model"


def truncated(folder: Path) -> Path:
    path = copied(folder) / "flow.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path.parent


def bomb(folder: Path) -> Path:
    model = copied(folder)
    torch.save({"weight": Bomb(folder / "exploded")}, model / "llm.pt")
    return model


def naked_bomb(folder: Path) -> Path:
    model = copied(folder)
    (model / "hift.pt").write_bytes(pickle.dumps(Bomb(folder / "exploded")))
    return model


def bomb_of_a_voice(folder: Path) -> Path:
    model = copied(folder)
    torch.save({"ann": Bomb(folder / "exploded")}, model / "spk2info.pt")
    return model


def other_version(folder: Path) -> Path:
    model = copied(folder)
    (model / "cosyvoice3.yaml").unlink()
    shutil.copy(GOLDEN / "v2" / "model" / "cosyvoice2.yaml", model)
    shutil.copy(GOLDEN / "v2" / "model" / "speech_tokenizer_v2.onnx", model)
    return model


def first_version(folder: Path) -> Path:
    model = copied(folder)
    (model / "cosyvoice3.yaml").rename(model / "cosyvoice.yaml")
    return model


def yaml_that_builds(folder: Path) -> Path:
    path = copied(folder) / "cosyvoice3.yaml"
    tag = f"!!python/object/apply:os.system ['touch {folder / 'exploded'}']"
    path.write_text(path.read_text("utf-8") + f"\nextra: {tag}\n", "utf-8")
    return path.parent


def yaml_of_another_class(folder: Path) -> Path:
    path = copied(folder) / "cosyvoice3.yaml"
    path.write_text(path.read_text("utf-8").replace("cosyvoice.llm.llm.CosyVoice3LM", "os.system"), "utf-8")
    return path.parent


def without_a_graph(folder: Path) -> Path:
    (copied(folder) / "campplus.onnx").unlink()
    return folder / "model"


def broken_graph(folder: Path) -> Path:
    (copied(folder) / "speech_tokenizer_v3.onnx").write_bytes(b"not a graph")
    return folder / "model"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (absent, "no such folder"),
        (empty, "is empty"),
        (truncated, "flow.pt: is damaged"),
        (bomb, "llm.pt: would have run posix.system and was not read"),
        (naked_bomb, "hift.pt: "),
        (bomb_of_a_voice, "spk2info.pt: "),
        (other_version, "llm.pt: llm_embedding.weight (2, 48)"),
        (first_version, "CosyVoice 1 is not supported"),
        (yaml_that_builds, "cosyvoice3.yaml"),
        (yaml_of_another_class, "cosyvoice3.yaml: llm: is system, expected CosyVoice3LM"),
        (without_a_graph, "campplus.onnx: is missing"),
        (broken_graph, "speech_tokenizer_v3.onnx: is damaged"),
    ],
)
def test_a_folder_that_cannot_be_served_is_an_error_of_the_start(
    spoil: Callable[[Path], Path], told: str, tmp_path: Path
) -> None:
    command = [str(COSYSTREAM), "serve", "--host", "127.0.0.1", "--port", "0", "--model", str(spoil(tmp_path))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert ended.returncode == 2, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("cosystream: ")]
    assert told in line
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_and_another_engine_are_refused(tmp_path: Path) -> None:
    command = [str(COSYSTREAM), "serve", "--engine", "tone", "--model", str(GOLDEN / "v3" / "model")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert "engine is 'tone', which has no use for model" in ended.stderr
