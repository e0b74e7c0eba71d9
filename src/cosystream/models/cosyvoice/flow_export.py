"""A flow estimator as an ONNX graph: what lies behind a piece goes in, and what the piece adds comes out."""

import hashlib
import inspect
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from cosystream.models.cosyvoice.config import DiTConfig, UNetConfig
from cosystream.models.cosyvoice.dit import DiT
from cosystream.models.cosyvoice.flow_memory import layout_of
from cosystream.models.cosyvoice.flow_stacked import Added, Behind, StackedContext
from cosystream.models.cosyvoice.unet import UNet

OPSET = 20
INPUTS = ("x", "mu", "spks", "cond", "time", *(field.name for field in fields(Behind)))
OUTPUTS = ("velocity", *(f"new_{field.name}" for field in fields(Added)))
VARYING: Mapping[str, Mapping[int, str]] = {
    "x": {0: "rows", 1: "frames"},
    "mu": {0: "rows", 1: "frames"},
    "spks": {0: "rows"},
    "cond": {0: "rows", 1: "frames"},
    "time": {0: "rows"},
    "positions": {0: "rows", 1: "frames"},
    "visible": {0: "rows", 1: "frames", 2: "seen"},
    "keys": {1: "rows", 3: "behind"},
    "values": {1: "rows", 3: "behind"},
    "tails": {0: "rows"},
}
"""What the dimensions of an input count that are not the same in every batch; ``seen`` is ``behind`` and ``frames``."""


class StackedEstimator(nn.Module):
    """An estimator as a function of tensors alone, in the order of ``INPUTS`` and ``OUTPUTS``."""

    def __init__(self, estimator: DiT | UNet) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(
        self,
        x: Tensor,
        mu: Tensor,
        spks: Tensor,
        cond: Tensor,
        time: Tensor,
        positions: Tensor,
        visible: Tensor,
        keys: Tensor,
        values: Tensor,
        tails: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        context = StackedContext(Behind(positions, visible, keys, values, tails))
        velocity = self.estimator(x, mu, spks, cond, time, context)
        added = context.added
        return velocity, added.keys, added.values, added.tails


@torch.inference_mode()
def export_estimator(estimator: DiT | UNet, config: DiTConfig | UNetConfig, dtype: torch.dtype, path: Path) -> None:
    """Write the estimator to ``path`` as an ONNX graph for any number of rows, frames and frames behind.

    Its linear layers, and so keys and values, are in ``dtype``, everything else in float32. The layers must be as the
    checkpoint has them, not laid out for one device.
    """
    model = StackedEstimator(narrowed(estimator, dtype)).eval()
    device = next(estimator.parameters()).device
    torch.onnx.export(
        model,
        tuple(example.to(device) for example in _examples(estimator, config, dtype)),
        path,
        input_names=INPUTS,
        output_names=OUTPUTS,
        opset_version=OPSET,
        dynamic_shapes={name: dict.fromkeys(dims, Dim.DYNAMIC) for name, dims in VARYING.items()},
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def _examples(estimator: DiT | UNet, config: DiTConfig | UNetConfig, dtype: torch.dtype) -> list[Tensor]:
    """Inputs to trace with. Each is a tensor of its own, because one given twice would be taken for one input."""
    layout, num_mels = layout_of(config), config.out_channels
    num_rows, num_new, num_past = 2, 3, 5
    frames, row = (num_rows, num_new, num_mels), (num_rows, num_mels)
    stacked = (len(layout.attentions), num_rows, layout.num_heads, num_past, layout.head_size)
    device = next(estimator.parameters()).device
    return [
        *(torch.zeros(size) for size in (frames, frames, row, frames)),
        estimator.time_embedding(torch.zeros(num_rows, device=device)),
        torch.zeros(num_rows, num_new, dtype=torch.int64),
        torch.ones(num_rows, num_new, num_past + num_new, dtype=torch.bool),
        torch.zeros(stacked, dtype=dtype),
        torch.zeros(stacked, dtype=dtype),
        torch.zeros(num_rows, layout.tail_size),
    ]


def fingerprint(estimator: DiT | UNet, config: DiTConfig | UNetConfig, dtype: torch.dtype) -> str:
    """Of all that the graph is made of: parameters, sizes and code. Equal ones make the same graph."""
    digest = hashlib.sha256(f"{torch.__version__} {OPSET} {dtype} {config}".encode())
    for code in (
        sys.modules[type(estimator).__module__],
        sys.modules[StackedContext.__module__],
        sys.modules[__name__],
    ):
        digest.update(inspect.getsource(code).encode())
    for name, parameter in sorted(estimator.named_parameters()):
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def narrowed(estimator: DiT | UNet, dtype: torch.dtype) -> DiT | UNet:
    """A copy whose linear layers multiply in ``dtype``."""
    copy = deepcopy(estimator)
    for module in list(copy.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, _Narrow(child.to(dtype)))
    return copy


class _Narrow(nn.Module):
    """A linear layer that takes what comes in in its own dtype."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x.to(self.linear.weight.dtype))
        return out
