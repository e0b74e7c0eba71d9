"""What a checkpoint's configuration says about its models, as frozen values."""

from dataclasses import dataclass
from enum import StrEnum


class Version(StrEnum):
    """The generations whose checkpoints run here."""

    V2 = "cosyvoice2"
    V3 = "cosyvoice3"


@dataclass(frozen=True, slots=True)
class Qwen2Config:
    """The body of the language model: ``CosyVoice-BlankEN/config.json``."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    vocab_size: int
    """Rows of the text embedding."""
    rope_theta: float
    rms_norm_eps: float

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """Repetition-aware sampling: the nucleus, and the window in which a repetition counts."""

    top_p: float
    top_k: int
    window_size: int
    repetition_ratio: float
    """``tau_r``: an id that makes up this share of the window already is drawn again."""


@dataclass(frozen=True, slots=True)
class SpeechLMConfig:
    """Text tokens in, speech tokens out."""

    version: Version
    body: Qwen2Config
    speech_token_size: int
    """Speech ids are 0 to this, exclusive; the special ids follow."""
    mix_ratio: tuple[int, int]
    """Text tokens to speech tokens in a block of interleaved text."""
    sampling: SamplingConfig


@dataclass(frozen=True, slots=True)
class ConformerConfig:
    """v2's flow encoder, at token rate and then at frame rate."""

    input_size: int
    output_size: int
    num_heads: int
    linear_units: int
    num_blocks: int
    """At token rate; the number at frame rate is fixed by the architecture."""


@dataclass(frozen=True, slots=True)
class LookaheadConfig:
    """v3's flow front: two convolutions over the embedded tokens."""

    in_channels: int
    channels: int


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """v2's flow estimator."""

    in_channels: int
    out_channels: int
    channels: int
    num_blocks: int
    """Transformer blocks behind each residual block."""
    num_mid_blocks: int
    num_heads: int
    head_size: int


@dataclass(frozen=True, slots=True)
class DiTConfig:
    """v3's flow estimator, a diffusion transformer."""

    dim: int
    depth: int
    num_heads: int
    head_size: int
    ff_mult: int
    mel_dim: int
    mu_dim: int
    spk_dim: int
    out_channels: int


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Speech tokens in, mel frames out, by conditional flow matching."""

    version: Version
    vocab_size: int
    input_size: int
    output_size: int
    """Mel bins."""
    spk_embed_dim: int
    token_mel_ratio: int
    """Mel frames a token."""
    lookahead: int
    """Tokens seen but not yet spoken (``pre_lookahead_len``)."""
    chunk_size: int
    """Tokens in a block of the streaming attention mask, counted from the start of the prompt."""
    cfg_rate: float
    """Weight of the classifier-free guidance."""
    encoder: ConformerConfig | LookaheadConfig
    estimator: UNetConfig | DiTConfig


@dataclass(frozen=True, slots=True)
class HiFTConfig:
    """Mel frames in, samples out: a neural source filter with an inverse STFT."""

    is_causal: bool
    """v3's; v2's sees frames on both sides."""
    in_channels: int
    base_channels: int
    num_harmonics: int
    """Above the fundamental."""
    sample_rate: int
    nsf_alpha: float
    nsf_sigma: float
    voiced_threshold: float
    """Hz."""
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    n_fft: int
    hop_length: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    source_resblock_kernel_sizes: tuple[int, ...]
    source_resblock_dilations: tuple[tuple[int, ...], ...]
    lrelu_slope: float
    audio_limit: float
    f0_channels: int
    """``f0_predictor.cond_channels``."""
    conv_pre_lookahead: int = 0
    """Frames that the first convolution of the causal one sees ahead."""


@dataclass(frozen=True, slots=True)
class MelConfig:
    """The mel spectrogram of a prompt (``feat_extractor``)."""

    sample_rate: int
    n_fft: int
    hop_length: int
    win_length: int
    num_mels: int
    fmin: float
    fmax: float | None
    """None is half the sample rate."""


@dataclass(frozen=True, slots=True)
class CosyVoiceConfig:
    """All that a checkpoint's configuration files say."""

    version: Version
    sample_rate: int
    token_rate: int
    """Speech tokens a second."""
    lm: SpeechLMConfig
    flow: FlowConfig
    hift: HiFTConfig
    mel: MelConfig
