import logging
import shutil
from pathlib import Path

import pytest
import torch

from cosystream.config import Settings
from cosystream.engines.registry import checkpoints, core_builder
from cosystream.errors import CheckpointError, ConfigError
from tests.support.golden import GOLDEN


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(version: str, name: str) -> Path:
    folder = Path("pretrained_models") / name
    shutil.copytree(GOLDEN / version / "model", folder)
    return folder


def test_the_latest_generation_is_found_first() -> None:
    assert checkpoints() == []
    two, three = put("v2", "A"), put("v3", "B")
    assert checkpoints() == [three, two]


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the checkpoint speaks")
def test_without_a_gpu_auto_is_the_embedded_voice_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    folder = put("v3", "B")
    core_builder(Settings(cache_dir=Path("cache")))
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert message.startswith(f"not cosyvoice: no GPU to speak in real time with {folder}")


def test_a_checkpoint_that_is_asked_for_speaks() -> None:
    folder = put("v3", "B")
    for settings in (
        Settings(model=str(folder), cache_dir=Path("cache"), num_threads=1),
        Settings(engine="cosyvoice", cache_dir=Path("cache"), num_threads=1),
    ):
        core = core_builder(settings)()
        assert (core.info.name, core.info.model) == ("cosyvoice", "B")
        core.close()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(engine="cosyvoice"), "engine cosyvoice: no checkpoint in pretrained_models; cosystream fetch"),
        (Settings(engine="espeak"), "engine is 'espeak'; there are auto, cosyvoice, kokoro, tone"),
        (Settings(engine="espeak", model="somewhere"), "engine is 'espeak'; there are"),
        (Settings(engine="tone", model="somewhere"), "engine is 'tone', which has no use for model 'somewhere'"),
        (Settings(model="somewhere"), "somewhere: no such folder"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(settings: Settings, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        core_builder(settings)


def test_a_folder_of_recordings_that_is_named_must_be_there() -> None:
    folder = put("v3", "B")
    with pytest.raises(ConfigError, match="voices_dir is typo, which is no folder; make it first"):
        core_builder(Settings(model=str(folder), voices_dir=Path("typo")))


def test_a_folder_is_looked_through_before_anything_is_loaded() -> None:
    folder = put("v3", "B")
    (folder / "hift.pt").unlink()
    with pytest.raises(CheckpointError, match=r"hift\.pt: is missing"):
        core_builder(Settings(model=str(folder)))
