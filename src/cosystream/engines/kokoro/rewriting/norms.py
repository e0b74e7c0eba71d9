"""Instance norms with given statistics: what makes the vocoder a plain convolution, which can work in windows.

Kokoro's vocoder normalises each channel over the whole utterance (AdaIN: instance norm, then a gain and an offset that
the style decides). The statistics hardly differ between sentences of one voice, so they are measured once per voice and
given as an input. Of a norm stays ``x * a + b``, with ``a = gain / sqrt(variance)`` and ``b = offset - mean * a``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from cosystream.engines.kokoro.rewriting.editor import GraphEditor, Readers, other_input

STATISTICS = "statistics"
"""The input that is added, (1, S, 1): of each norm in the graph's order the C means, then the C variances."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A norm as it stands in the graph: ``(data - mean) / deviation``, and the gains that it is multiplied with."""

    data: str
    mean: str
    variance: str
    deviation: str
    normalized: str
    gained: Sequence[NodeProto]
    """Products with a gain: more than one where several layers normalise the same data."""


def find_norms(graph: GraphEditor) -> Sequence[Norm]:
    readers = graph.readers()
    return [
        _norm_from(mean, readers)
        for mean in graph.nodes
        if mean.op_type == "ReduceMean" and any(reader.op_type == "Sub" for reader in readers[mean.output[0]])
    ]


def freeze_norms(graph: GraphEditor) -> int:
    """Let every norm of ``graph`` take its mean and variance from STATISTICS. Returns S, how many these are."""
    norms, readers = find_norms(graph), graph.readers()
    sizes = [size for norm in norms for size in 2 * [_num_channels(graph, norm, readers)]]
    graph.add_constant("statistics_sizes", np.array(sizes, np.int64))
    parts = [part for norm in norms for part in (norm.mean, norm.variance)]
    graph.make("Split", [STATISTICS, "statistics_sizes"], *parts, axis=1)
    for norm in norms:
        for gained in norm.gained:
            (addition,) = readers[gained.output[0]]
            gain, offset = other_input(gained, norm.normalized), other_input(addition, gained.output[0])
            result = addition.output[0]
            a = graph.make("Div", [gain, norm.deviation], f"{result}_a")
            moved = graph.make("Mul", [norm.mean, a], f"{result}_moved")
            b = graph.make("Sub", [offset, moved], f"{result}_b")
            scaled = graph.make("Mul", [norm.data, a], f"{result}_scaled")
            graph.make("Add", [scaled, b], result)
    return sum(sizes)


def _norm_from(mean: NodeProto, readers: Readers) -> Norm:
    """Follow ``mean`` to ``Div(Sub(data, mean), Sqrt(Add(ReduceMean(Mul(Sub, Sub)), epsilon)))``."""
    centred = _only(readers[mean.output[0]], "Sub")
    squared = _only(readers[centred.output[0]], "Mul")
    variance = _only(readers[squared.output[0]], "ReduceMean")
    stabilized = _only(readers[variance.output[0]], "Add")
    deviation = _only(readers[stabilized.output[0]], "Sqrt")
    normalized = _only(readers[deviation.output[0]], "Div")
    return Norm(
        data=mean.input[0],
        mean=mean.output[0],
        variance=variance.output[0],
        deviation=deviation.output[0],
        normalized=normalized.output[0],
        gained=readers[normalized.output[0]],
    )


def _num_channels(graph: GraphEditor, norm: Norm, readers: Readers) -> int:
    """C, from the activation that follows each norm: it multiplies with a constant (1, C, 1)."""
    (addition,) = readers[norm.gained[0].output[0]]
    activation = _only(readers[addition.output[0]], "Mul")
    return graph.constant(other_input(activation, addition.output[0])).size


def _only(nodes: Sequence[NodeProto], operator: str) -> NodeProto:
    (node,) = (node for node in nodes if node.op_type == operator)
    return node
