"""Graphs of the small flows' estimators: made once, because torch takes seconds for each."""

import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.flow_export import export_estimator
from tests.models.cosyvoice.flows import create_flow


@cache
def exported(config: FlowConfig, dtype: torch.dtype) -> bytes:
    """The ONNX graph of ``create_flow(config)``."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch uses what torch deprecates
        path = Path(folder) / "flow.onnx"
        export_estimator(create_flow(config).decoder.estimator, config.estimator, dtype, path)
        return path.read_bytes()
