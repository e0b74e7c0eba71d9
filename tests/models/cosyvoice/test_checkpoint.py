"""The configuration of a checkpoint: the official ones are understood, and a wrong field is named."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import (
    ConformerConfig,
    DiTConfig,
    LookaheadConfig,
    Qwen2Config,
    SamplingConfig,
    UNetConfig,
    Version,
)
from tests.support.checkpoints import OFFICIAL, QWEN_SIZES

QWEN: dict[str, Any] = {**QWEN_SIZES, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "rope_scaling": None}


@pytest.fixture(params=list(Version))
def version(request: pytest.FixtureRequest) -> Version:
    return Version(request.param)


def official(folder: Path, version: Version, changes: Mapping[str, str] = {}, *, qwen: dict[str, Any] = QWEN) -> Path:
    """The configuration of an official checkpoint with lines replaced, of each ``key`` the first."""
    text = (OFFICIAL / f"{version}.yaml").read_text("utf-8")
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^( *){key}:.*$", rf"\g<1>{key}: {value}", text, count=1)
        assert count == 1, f"{key} is not in the file"
    (folder / f"{version}.yaml").write_text(text, "utf-8")
    (folder / "CosyVoice-BlankEN").mkdir(exist_ok=True)
    (folder / "CosyVoice-BlankEN" / "config.json").write_text(json.dumps(qwen), "utf-8")
    return folder


def test_both_official_configurations_say_the_same_of_what_both_have(tmp_path: Path, version: Version) -> None:
    config = read_config(official(tmp_path, version))
    assert config.version == config.lm.version == config.flow.version == version
    assert (config.sample_rate, config.token_rate) == (24000, 25)
    assert config.lm.body == Qwen2Config(896, 4864, 24, 14, 2, 151936, 1000000.0, 1e-6)
    assert config.lm.body.head_size == 64
    assert (config.lm.speech_token_size, config.lm.mix_ratio) == (6561, (5, 15))
    assert config.lm.sampling == SamplingConfig(top_p=0.8, top_k=25, window_size=10, repetition_ratio=0.1)
    flow = config.flow
    assert (flow.vocab_size, flow.output_size, flow.spk_embed_dim, flow.token_mel_ratio) == (6561, 80, 192, 2)
    assert (flow.lookahead, flow.chunk_size, flow.cfg_rate) == (3, 25, 0.7)
    hift = config.hift
    assert (hift.in_channels, hift.base_channels, hift.num_harmonics, hift.sample_rate) == (80, 512, 8, 24000)
    assert (hift.nsf_alpha, hift.nsf_sigma, hift.voiced_threshold) == (0.1, 0.003, 10)
    assert (hift.upsample_rates, hift.upsample_kernel_sizes) == ((8, 5, 3), (16, 11, 7))
    assert (hift.n_fft, hift.hop_length, hift.f0_channels) == (16, 4, 512)
    assert (hift.resblock_kernel_sizes, hift.source_resblock_kernel_sizes) == ((3, 7, 11), (7, 7, 11))
    assert hift.resblock_dilations == hift.source_resblock_dilations == ((1, 3, 5),) * 3
    assert (hift.lrelu_slope, hift.audio_limit) == (0.1, 0.99)
    mel = config.mel
    assert (mel.sample_rate, mel.n_fft, mel.hop_length, mel.win_length) == (24000, 1920, 480, 1920)
    assert (mel.num_mels, mel.fmin) == (80, 0)


def test_version_2_has_a_conformer_a_u_net_and_a_vocoder_that_sees_ahead(tmp_path: Path) -> None:
    config = read_config(official(tmp_path, Version.V2))
    assert config.flow.input_size == 512
    assert config.flow.encoder == ConformerConfig(512, 512, num_heads=8, linear_units=2048, num_blocks=6)
    assert config.flow.estimator == UNetConfig(320, 80, 256, num_blocks=4, num_mid_blocks=12, num_heads=8, head_size=64)
    assert (config.hift.is_causal, config.hift.conv_pre_lookahead, config.mel.fmax) == (False, 0, 8000)


def test_version_3_has_a_lookahead_layer_a_transformer_and_a_causal_vocoder(tmp_path: Path) -> None:
    config = read_config(official(tmp_path, Version.V3))
    assert config.flow.input_size == 80
    assert config.flow.encoder == LookaheadConfig(80, 1024)
    assert config.flow.estimator == DiTConfig(1024, 22, 16, 64, 2, 80, 80, 80, 80)
    assert (config.hift.is_causal, config.hift.conv_pre_lookahead, config.mel.fmax) == (True, 4, None)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("sample_rate", "fast", "sample_rate: expected a whole number, found 'fast'"),
        ("sample_rate", "0", "sample_rate: expected 8000 to 192000, found 0"),
        ("sample_rate", "22050", "hift.upsample_rates: make frames of 480 samples, expected 441"),
        ("sample_rate", "24001", "sample_rate: 24001 does not make whole frames"),
        ("sample_rate", "!ref <rate>", "sample_rate: refers to <rate>, which is not there"),
        ("chunk_size", "!ref <chunk_size>", "chunk_size: <chunk_size> refers to itself"),
        ("chunk_size", "2.5", "chunk_size: expected a whole number, found 2.5"),
        ("chunk_size", "true", "chunk_size: expected a whole number, found True"),
        ("llm_input_size", "1024", "llm.llm_input_size: 1024 is not the hidden_size"),
        ("speech_token_size", "-1", "llm.speech_token_size: expected 1 to 100000, found -1"),
        ("speech_token_size", f"0x{'f' * 9000}", "llm.speech_token_size: .* found a number far too large"),
        ("mix_ratio", "[5]", "llm.mix_ratio: expected 2 entries, found 1"),
        ("mix_ratio", "[5, x]", r"llm.mix_ratio\[1\]: expected a whole number, found 'x'"),
        ("sampling", "!name:os.system", "llm.sampling: is system, expected ras_sampling"),
        ("top_p", "1.5", "llm.sampling.top_p: expected 0 to 1, found 1.5"),
        ("tau_r", ".nan", "llm.sampling.tau_r: expected 0 to 1, found nan"),
        ("num_decoding_left_chunks", "2", "flow.decoder.estimator.num_decoding_left_chunks: expected -1"),
        ("solver", "midpoint", "flow.decoder.cfm_params.content.solver: expected 'euler'"),
        ("hop_len", "5", "hift.upsample_rates: make frames of 600 samples, expected 480"),
        ("upsample_rates", "[]", "hift.upsample_rates: expected 1 to 8 entries, found 0"),
        ("resblock_dilation_sizes", "[1, 3, 5]", r"hift.resblock_dilation_sizes\[0\]: expected a list, found 1"),
        ("base_channels", "{}", "hift.base_channels: expected a whole number, found fields"),
        ("token_mel_ratio", "4", "hift.upsample_rates: make frames of 480 samples, expected 240"),
        ("cond_channels", "1000000", "hift.f0_predictor.cond_channels: expected 1 to 4096"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(
    tmp_path: Path, version: Version, key: str, value: str, problem: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"{version}\.yaml: {problem}"):
        read_config(official(tmp_path, version, {key: value}))


@pytest.mark.parametrize(
    ("version", "key", "value", "problem"),
    [
        (Version.V2, "attention_heads", "7", "flow.encoder.output_size: 512 is not even or no multiple of 7 heads"),
        (Version.V2, "channels", "[256, 256]", "flow.decoder.estimator.channels: expected 1 entries, found 2"),
        (Version.V2, "act_fn", "relu", "flow.decoder.estimator.act_fn: expected 'gelu'"),
        (Version.V3, "dim", "1000", "flow.decoder.estimator.dim: 1000 is no multiple of 16"),
        (Version.V3, "dim_head", "63", "flow.decoder.estimator.dim_head: 63 is odd"),
        (Version.V3, "depth", "101", "flow.decoder.estimator.depth: expected 1 to 100, found 101"),
    ],
)
def test_a_size_that_cannot_be_built_is_named(
    tmp_path: Path, version: Version, key: str, value: str, problem: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"{version}\.yaml: {problem}"):
        read_config(official(tmp_path, version, {key: value}))


@pytest.mark.parametrize(
    ("version", "key", "problem"),
    [
        (Version.V3, "depth", "flow.decoder.estimator.depth: is missing"),
        (Version.V3, "conv_pre_look_right", "hift.conv_pre_look_right: is missing"),
        (Version.V2, "linear_units", "flow.encoder.linear_units: is missing"),
        (Version.V2, "hop_len", "hift.istft_params.hop_len: is missing"),
        (Version.V2, "num_harmonics|nb_harmonics", "hift.nb_harmonics: is missing"),
        (Version.V3, "chunk_size", "chunk_size: is missing"),
    ],
)
def test_a_missing_field_is_named_with_its_path(tmp_path: Path, version: Version, key: str, problem: str) -> None:
    path = official(tmp_path, version) / f"{version}.yaml"
    path.write_text(re.sub(rf"(?m)^ *({key}):.*\n", "", path.read_text("utf-8"), count=1), "utf-8")
    with pytest.raises(CheckpointError, match=rf"{version}\.yaml: {problem}"):
        read_config(tmp_path)


@pytest.mark.parametrize("section", ["llm", "flow", "hift", "feat_extractor"])
def test_a_missing_section_is_named(tmp_path: Path, version: Version, section: str) -> None:
    path = official(tmp_path, version) / f"{version}.yaml"
    path.write_text(re.sub(rf"(?m)^{section}: .*\n(?: +.*\n)*", "", path.read_text("utf-8")), "utf-8")
    with pytest.raises(CheckpointError, match=rf"{version}\.yaml: {section}: is missing"):
        read_config(tmp_path)


def test_a_yaml_under_the_name_of_the_other_version_is_found_out(tmp_path: Path) -> None:
    official(tmp_path, Version.V2)
    (tmp_path / "cosyvoice2.yaml").rename(tmp_path / "cosyvoice3.yaml")
    with pytest.raises(CheckpointError, match=r"cosyvoice3\.yaml: llm: is Qwen2LM, expected CosyVoice3LM"):
        read_config(tmp_path)


def test_a_yaml_that_names_a_python_class_to_construct_is_refused(tmp_path: Path, version: Version) -> None:
    trace = tmp_path / "trace"
    official(tmp_path, version, {"allowed_special": f"!!python/object/apply:os.mkdir ['{trace}']"})
    with pytest.raises(CheckpointError, match=rf"{version}\.yaml: line \d+: the tag \S+os\.mkdir is not allowed"):
        read_config(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hidden_size": None}, "hidden_size: expected a whole number, found nothing"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers: expected 1 to 100"),
        ({"num_attention_heads": 13}, "num_attention_heads: 13 heads of even size do not make 896"),
        ({"num_key_value_heads": 3}, "num_key_value_heads: 3 does not divide 14"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_scaling: expected None"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps: expected a number, found 'small'"),
    ],
)
def test_a_wrong_size_of_the_language_model_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(CheckpointError, match=rf"CosyVoice-BlankEN/config\.json: {problem}"):
        read_config(official(tmp_path, Version.V3, qwen=QWEN | change))


def test_the_base_of_the_rotation_may_stand_where_newer_files_have_it(tmp_path: Path) -> None:
    newer = {key: value for key, value in QWEN.items() if key != "rope_theta"}
    newer["rope_parameters"] = {"rope_theta": 5e5, "rope_type": "default"}
    assert read_config(official(tmp_path, Version.V3, qwen=newer)).lm.body.rope_theta == 5e5


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_json_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = official(tmp_path, Version.V3) / "CosyVoice-BlankEN" / "config.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json: (is not JSON|expected an object)"):
        read_config(tmp_path)


def test_without_the_language_models_folder_its_file_is_named(tmp_path: Path) -> None:
    shutil.rmtree(official(tmp_path, Version.V3) / "CosyVoice-BlankEN")
    with pytest.raises(CheckpointError, match=r"CosyVoice-BlankEN/config\.json: No such file"):
        read_config(tmp_path)
