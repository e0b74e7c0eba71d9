"""What models take, and how their weight files compare with them."""

from pathlib import Path

import pytest
import torch

from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.inspection import flow_state_bytes_per_second, inspect_weights
from cosystream.models.devices import multiplies_bfloat16
from tests.support.checkpoints import write_checkpoint, write_configuration


def bytes_of_a_value() -> int:
    """Of keys and values, on this machine."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return 2 if multiplies_bfloat16(device) else 4


@pytest.mark.parametrize(
    ("version", "values_per_frame"), [(Version.V2, 56 * 2 * 512 * 2 * 10), (Version.V3, 22 * 2 * 1024 * 2 * 10)]
)
def test_the_state_of_the_flow_is_k_and_v_of_every_layer_row_and_step(
    tmp_path: Path, version: Version, values_per_frame: int
) -> None:
    write_configuration(tmp_path / "model", version, "full")
    per_second = flow_state_bytes_per_second(read_config(tmp_path / "model"))
    assert per_second == values_per_frame * 50 * bytes_of_a_value()


@pytest.mark.parametrize("version", list(Version))
def test_every_file_that_fits_is_reported_with_its_parameters(tmp_path: Path, version: Version) -> None:
    write_checkpoint(tmp_path / "model", version)
    reports = list(inspect_weights(tmp_path / "model", read_config(tmp_path / "model")))
    assert [(report.path.name, report.problems) for report in reports] == [
        ("llm.pt", ()),
        ("flow.pt", ()),
        ("hift.pt", ()),
    ]
    assert all(4 * report.num_parameters <= report.num_bytes for report in reports)
    weights = torch.load(tmp_path / "model" / "llm.pt")
    head = weights.pop("llm.model.lm_head.weight")
    assert reports[0].num_parameters == sum(tensor.numel() for tensor in weights.values())
    assert head.data_ptr() == weights["llm.model.model.embed_tokens.weight"].data_ptr()  # the file holds it once


def test_a_file_that_does_not_fit_or_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, Version.V3)
    (tmp_path / "flow.pt").write_bytes(b"x")
    torch.save({"x": torch.ones(2)}, tmp_path / "hift.pt")
    llm, flow, hift = inspect_weights(tmp_path, read_config(tmp_path))
    assert llm.problems == ()
    assert flow.problems == ("is damaged or not a weight file; download it again",)
    assert hift.problems[-1] == "x (2,) is left over"
    assert all("is missing" in problem for problem in hift.problems[:-1])
