"""The published graph in two: a front that runs once per clause, and a generator that turns windows into audio.

N tokens, T frames (80 a second), S norm statistics. Tensors keep these names and shapes:

front       tokens (1, N), style (1, 256), speed (1,)
            -> features (1, 512, T), source (1, 22, 60 T + 1), energy (1, 1, T)
generator   features, source, style, statistics (1, S, 1), inner_start (1,), inner_end (1,)
            -> audio (300 (inner_end - inner_start),)

The front stays int8: it is small. The generator is rewritten, as its parts' modules say.
"""

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto
from onnx.helper import make_tensor_value_info

from cosystream.engines.kokoro.rewriting.crop import INNER_END, INNER_START, crop_between_stages
from cosystream.engines.kokoro.rewriting.dequantize import dequantize
from cosystream.engines.kokoro.rewriting.editor import GraphEditor
from cosystream.engines.kokoro.rewriting.norms import STATISTICS, find_norms, freeze_norms
from cosystream.engines.kokoro.rewriting.stft import replace_stft

_GENERATOR = "/decoder/decoder/generator/"
_STYLE = make_tensor_value_info("style", TensorProto.FLOAT, [1, 256])
_TOKENS = make_tensor_value_info("tokens", TensorProto.INT64, [1, "tokens"])
_SPEED = make_tensor_value_info("speed", TensorProto.FLOAT, [1])
_CUT = {
    "/decoder/decoder/decode.3/Div_4_output_0": make_tensor_value_info(
        "features", TensorProto.FLOAT, [1, 512, "frames"]
    ),
    f"{_GENERATOR}Concat_3_output_0": make_tensor_value_info("source", TensorProto.FLOAT, [1, 22, "source_frames"]),
}
_ENERGY = {"/encoder/N_proj/Conv_output_0": make_tensor_value_info("energy", TensorProto.FLOAT, [1, 1, "frames"])}
_AUDIO = make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])


def build_front(weights: bytes) -> ModelProto:
    graph = GraphEditor(onnx.load_from_string(weights))
    replace_stft(graph)
    return graph.cut(_named(_TOKENS, _STYLE, _SPEED), _CUT | _ENERGY)


def build_generator(weights: bytes) -> ModelProto:
    graph = GraphEditor(onnx.load_from_string(weights), scope=_GENERATOR)
    dequantize(graph)
    num_statistics = freeze_norms(graph)
    crop_between_stages(graph)
    added = [
        make_tensor_value_info(STATISTICS, TensorProto.FLOAT, [1, num_statistics, 1]),
        make_tensor_value_info(INNER_START, TensorProto.INT64, [1]),
        make_tensor_value_info(INNER_END, TensorProto.INT64, [1]),
    ]
    return graph.cut(_CUT | _named(_STYLE, *added), _named(_AUDIO))


def build_calibrator(weights: bytes) -> ModelProto:
    """The generator with its norms as they were, and what they measure of an utterance, in the order of STATISTICS.

    features, source, style -> audio (300 T,), then of each norm the means (1, C, 1) and the variances (1, C, 1)
    """
    graph = GraphEditor(onnx.load_from_string(weights), scope=_GENERATOR)
    dequantize(graph)
    measured = [tensor for norm in find_norms(graph) for tensor in (norm.mean, norm.variance)]
    outputs = [make_tensor_value_info(tensor, TensorProto.FLOAT, [1, None, 1]) for tensor in measured]
    return graph.cut(_CUT | _named(_STYLE), _named(_AUDIO, *outputs))


def _named(*tensors: ValueInfoProto) -> dict[str, ValueInfoProto]:
    return {tensor.name: tensor for tensor in tensors}
