from pathlib import Path

import pytest

from bench.stages import StagesFailed, measure_stages


async def test_a_folder_that_is_no_checkpoint_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StagesFailed, match=r"python -m bench.stopwatch ended with status 1"):
        await measure_stages(tmp_path / "nothing")
    assert "CheckpointError" in capfd.readouterr().err
