"""Less context where less is needed: a window loses most of its margins half-way through the vocoder.

The vocoder raises the rate twice, from 1 to 10 and to 60 values a frame. What a sample depends on reaches 8 frames
around it, but 6 of these belong to the layers at the lower rate. The layers at the higher rate do 60 % of the work:
giving them 2 frames of context instead of 9 makes a window of 24 frames a fifth cheaper, one of 64 a tenth.
"""

import numpy as np

from cosystream.engines.kokoro.rewriting.editor import GraphEditor

INNER_START, INNER_END = "inner_start", "inner_end"
"""The inputs that are added, each (1,): the frames of the window that the layers at the higher rate get to see."""

_LOW_RATE = "/decoder/decoder/generator/LeakyRelu_1_output_0"
"""What the second upsampling reads: 10 values a frame."""
_SOURCE_AT_HIGH_RATE = "/decoder/decoder/generator/noise_convs.1/Conv_output_0"
"""The harmonic source, as it joins after the second upsampling: 60 values a frame and 1."""


def crop_between_stages(graph: GraphEditor) -> None:
    graph.add_constant("time_axis", np.array([2], np.int64))
    for tensor, values_per_frame, more in ((_LOW_RATE, 10, 0), (_SOURCE_AT_HIGH_RATE, 60, 1)):
        per_frame = graph.add_constant(f"{tensor}_per_frame", np.array([values_per_frame], np.int64))
        rest = graph.add_constant(f"{tensor}_more", np.array([more], np.int64))
        start = graph.make("Mul", [INNER_START, per_frame], f"{tensor}_start")
        last = graph.make("Mul", [INNER_END, per_frame], f"{tensor}_last")
        end = graph.make("Add", [last, rest], f"{tensor}_end")
        whole = graph.move(tensor, f"{tensor}_whole")
        graph.make("Slice", [whole, start, end, "time_axis"], tensor)
