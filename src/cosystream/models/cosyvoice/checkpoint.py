"""What a checkpoint's configuration files say, checked field by field."""

import json
import math
from pathlib import Path

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import (
    ConformerConfig,
    CosyVoiceConfig,
    DiTConfig,
    FlowConfig,
    HiFTConfig,
    LookaheadConfig,
    MelConfig,
    Qwen2Config,
    SamplingConfig,
    SpeechLMConfig,
    UNetConfig,
    Version,
)
from cosystream.models.cosyvoice.fields import Section
from cosystream.models.cosyvoice.folder import QWEN_FOLDER, find_version
from cosystream.models.cosyvoice.yaml_config import read_yaml

MAX_VOCABULARY = 10_000_000
MAX_SPEECH_VOCABULARY = 100_000
MAX_DRAWN = 4096
"""Widths of what v3's vocoder draws and throws away before its noise: not more than takes seconds."""
MAX_LAYERS = 100
MAX_BLOCKS = 16
"""Behind each of the layers."""

NUM_CONV_GROUPS = 16
"""Of v3's position embedding."""

LM_CLASS = {Version.V2: "Qwen2LM", Version.V3: "CosyVoice3LM"}
FLOW_CLASS = {Version.V2: "CausalMaskedDiffWithXvec", Version.V3: "CausalMaskedDiffWithDiT"}
ESTIMATOR_CLASS = {Version.V2: "CausalConditionalDecoder", Version.V3: "DiT"}
HIFT_CLASS = {Version.V2: "HiFTGenerator", Version.V3: "CausalHiFTGenerator"}
F0_CLASS = {Version.V2: "ConvRNNF0Predictor", Version.V3: "CausalConvRNNF0Predictor"}


def read_config(folder: Path) -> CosyVoiceConfig:
    """The configuration of the checkpoint in ``folder``; CheckpointError names the file and the field at fault."""
    version = find_version(folder)
    path = folder / f"{version}.yaml"
    content = read_yaml(path)
    top = Section(str(path), "", content, content)
    body = _read_qwen(folder / QWEN_FOLDER / "config.json")
    sample_rate = top.integer("sample_rate", 8000, 192_000)
    lm = _read_lm(top.section("llm", LM_CLASS[version]), version, body)
    flow = _read_flow(top, version)
    hift = _read_hift(top.section("hift", HIFT_CLASS[version]), version)
    mel = _read_mel(top.section("feat_extractor", "mel_spectrogram"))
    token_rate = top.section("flow").integer("input_frame_rate", 1, 1000)
    _check_rates(top, sample_rate, token_rate * flow.token_mel_ratio, hift, mel)
    for name, size in (("flow.output_size", flow.output_size), ("hift.in_channels", hift.in_channels)):
        if size != mel.num_mels:
            raise top.wrong(name, f"{size} is not the {mel.num_mels} mel bins of feat_extractor.num_mels")
    return CosyVoiceConfig(version, sample_rate, token_rate, lm, flow, hift, mel)


def _read_qwen(path: Path) -> Qwen2Config:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected an object")
    fields = Section(str(path), "", content, {})
    rope = fields if "rope_theta" in content or "rope_parameters" not in content else fields.section("rope_parameters")
    fields.expect("rope_scaling", None)
    body = Qwen2Config(
        hidden_size=fields.integer("hidden_size"),
        intermediate_size=fields.integer("intermediate_size"),
        num_layers=fields.integer("num_hidden_layers", 1, MAX_LAYERS),
        num_heads=fields.integer("num_attention_heads"),
        num_kv_heads=fields.integer("num_key_value_heads"),
        vocab_size=fields.integer("vocab_size", 1, MAX_VOCABULARY),
        rope_theta=rope.number("rope_theta", 1, 1e12),
        rms_norm_eps=fields.number("rms_norm_eps", 0, 1),
    )
    if body.hidden_size % (2 * body.num_heads):
        raise fields.wrong("num_attention_heads", f"{body.num_heads} heads of even size do not make {body.hidden_size}")
    if body.num_heads % body.num_kv_heads:
        raise fields.wrong("num_key_value_heads", f"{body.num_kv_heads} does not divide {body.num_heads}")
    return body


def _read_lm(llm: Section, version: Version, body: Qwen2Config) -> SpeechLMConfig:
    for key in ("llm_input_size", "llm_output_size"):
        size = llm.integer(key)
        if size != body.hidden_size:
            raise llm.wrong(key, f"{size} is not the hidden_size of {QWEN_FOLDER}/config.json, {body.hidden_size}")
    num_text, num_speech = llm.integers("mix_ratio", 2)
    sampling = llm.section("sampling", "ras_sampling")
    return SpeechLMConfig(
        version=version,
        body=body,
        speech_token_size=llm.integer("speech_token_size", 1, MAX_SPEECH_VOCABULARY),
        mix_ratio=(num_text, num_speech),
        sampling=SamplingConfig(
            top_p=sampling.number("top_p", 0, 1),
            top_k=sampling.integer("top_k"),
            window_size=sampling.integer("win_size"),
            repetition_ratio=sampling.number("tau_r", 0, 1),
        ),
    )


def _read_flow(top: Section, version: Version) -> FlowConfig:
    flow = top.section("flow", FLOW_CLASS[version])
    decoder = flow.section("decoder", "CausalConditionalCFM")
    estimator = decoder.section("estimator", ESTIMATOR_CLASS[version])
    cfm = decoder.section("cfm_params")
    cfm = cfm.section("content") if "content" in cfm.fields else cfm
    cfm.expect("solver", "euler")
    cfm.expect("t_scheduler", "cosine")
    config = FlowConfig(
        version=version,
        vocab_size=flow.integer("vocab_size", 1, MAX_SPEECH_VOCABULARY),
        input_size=flow.integer("input_size", 1, MAX_DRAWN),
        output_size=flow.integer("output_size"),
        spk_embed_dim=flow.integer("spk_embed_dim"),
        token_mel_ratio=flow.integer("token_mel_ratio", 1, 100),
        lookahead=flow.integer("pre_lookahead_len", 1, 100),
        chunk_size=top.integer("chunk_size", 1, 10_000),
        cfg_rate=cfm.number("inference_cfg_rate", 0, 100),
        encoder=_read_conformer(flow) if version is Version.V2 else _read_lookahead(flow),
        estimator=_read_unet(estimator) if version is Version.V2 else _read_dit(estimator),
    )
    estimator.expect("static_chunk_size", config.chunk_size * config.token_mel_ratio)
    estimator.expect("num_decoding_left_chunks", -1)
    return config


def _read_conformer(flow: Section) -> ConformerConfig:
    encoder = flow.section("encoder", "UpsampleConformerEncoder")
    config = ConformerConfig(
        input_size=encoder.integer("input_size"),
        output_size=encoder.integer("output_size"),
        num_heads=encoder.integer("attention_heads"),
        linear_units=encoder.integer("linear_units"),
        num_blocks=encoder.integer("num_blocks", 1, MAX_LAYERS),
    )
    if config.output_size % config.num_heads or config.output_size % 2:
        raise encoder.wrong(
            "output_size", f"{config.output_size} is not even or no multiple of {config.num_heads} heads"
        )
    return config


def _read_lookahead(flow: Section) -> LookaheadConfig:
    layer = flow.section("pre_lookahead_layer", "PreLookaheadLayer")
    return LookaheadConfig(in_channels=layer.integer("in_channels"), channels=layer.integer("channels"))


def _read_unet(estimator: Section) -> UNetConfig:
    (channels,) = estimator.integers("channels", 1)
    estimator.expect("act_fn", "gelu")
    return UNetConfig(
        in_channels=estimator.integer("in_channels"),
        out_channels=estimator.integer("out_channels"),
        channels=channels,
        num_blocks=estimator.integer("n_blocks", 1, MAX_BLOCKS),
        num_mid_blocks=estimator.integer("num_mid_blocks", 1, MAX_LAYERS),
        num_heads=estimator.integer("num_heads"),
        head_size=estimator.integer("attention_head_dim"),
    )


def _read_dit(estimator: Section) -> DiTConfig:
    config = DiTConfig(
        dim=estimator.integer("dim"),
        depth=estimator.integer("depth", 1, MAX_LAYERS),
        num_heads=estimator.integer("heads"),
        head_size=estimator.integer("dim_head"),
        ff_mult=estimator.integer("ff_mult", 1, 100),
        mel_dim=estimator.integer("mel_dim"),
        mu_dim=estimator.integer("mu_dim"),
        spk_dim=estimator.integer("spk_dim"),
        out_channels=estimator.integer("out_channels"),
    )
    if config.dim % NUM_CONV_GROUPS:
        raise estimator.wrong("dim", f"{config.dim} is no multiple of {NUM_CONV_GROUPS}, the groups of a convolution")
    if config.head_size % 2:
        raise estimator.wrong("dim_head", f"{config.head_size} is odd; halves are rotated")
    return config


def _read_hift(hift: Section, version: Version) -> HiFTConfig:
    f0_predictor = hift.section("f0_predictor", F0_CLASS[version])
    istft = hift.section("istft_params")
    rates = hift.integers("upsample_rates")
    kernels = hift.integers("resblock_kernel_sizes")
    source_kernels = hift.integers("source_resblock_kernel_sizes", len(rates))
    return HiFTConfig(
        is_causal=version is Version.V3,
        in_channels=hift.integer("in_channels"),
        base_channels=hift.integer("base_channels", 2 ** len(rates)),
        num_harmonics=hift.integer("nb_harmonics", 0, 1000),
        sample_rate=hift.integer("sampling_rate", 8000, 192_000),
        nsf_alpha=hift.number("nsf_alpha", 0, 100),
        nsf_sigma=hift.number("nsf_sigma", 0, 100),
        voiced_threshold=hift.number("nsf_voiced_threshold", 0, 10_000),
        upsample_rates=rates,
        upsample_kernel_sizes=hift.integers("upsample_kernel_sizes", len(rates)),
        n_fft=istft.integer("n_fft", 2, 100_000),
        hop_length=istft.integer("hop_len", 1, 100_000),
        resblock_kernel_sizes=kernels,
        resblock_dilations=hift.integer_lists("resblock_dilation_sizes", len(kernels)),
        source_resblock_kernel_sizes=source_kernels,
        source_resblock_dilations=hift.integer_lists("source_resblock_dilation_sizes", len(source_kernels)),
        lrelu_slope=hift.number("lrelu_slope", 0, 1),
        audio_limit=hift.number("audio_limit", 0, 1),
        f0_channels=f0_predictor.integer("cond_channels", 1, MAX_DRAWN),
        conv_pre_lookahead=hift.integer("conv_pre_look_right", 0, 100) if version is Version.V3 else 0,
    )


def _read_mel(mel: Section) -> MelConfig:
    return MelConfig(
        sample_rate=mel.integer("sampling_rate", 8000, 192_000),
        n_fft=mel.integer("n_fft"),
        hop_length=mel.integer("hop_size"),
        win_length=mel.integer("win_size"),
        num_mels=mel.integer("num_mels"),
        fmin=mel.number("fmin", 0, 100_000),
        fmax=None if mel.value("fmax") is None else mel.number("fmax", 0, 100_000),
    )


def _check_rates(top: Section, sample_rate: int, frame_rate: int, hift: HiFTConfig, mel: MelConfig) -> None:
    """One mel frame must be as many samples for the flow, the vocoder and the prompts."""
    if sample_rate % frame_rate:
        raise top.wrong("sample_rate", f"{sample_rate} does not make whole frames at {frame_rate} a second")
    frame = sample_rate // frame_rate
    vocoded = math.prod(hift.upsample_rates) * hift.hop_length
    if vocoded != frame:
        raise top.wrong("hift.upsample_rates", f"make frames of {vocoded} samples, expected {frame}")
    if mel.hop_length != frame:
        raise top.wrong("feat_extractor.hop_size", f"{mel.hop_length} is not the frame of {frame} samples")
    for name, rate in (("hift", hift.sample_rate), ("feat_extractor", mel.sample_rate)):
        if rate != sample_rate:
            raise top.wrong(f"{name}.sampling_rate", f"{rate} is not sample_rate, {sample_rate}")
