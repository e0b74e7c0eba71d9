from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench import stopwatch
from cosystream.models.cosyvoice.config import Version
from tests.support.checkpoints import write_checkpoint


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Others may be using the cores."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("version", list(Version))
def test_every_stage_of_either_version_is_timed(version: Version, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model", version)
    stages = stopwatch.measure(tmp_path / "model", far_tokens=100, limit_seconds=0)
    flow, lm = stages.flow, stages.lm
    assert stages.version == version
    assert stages.precision in ("bfloat16", "float32")
    assert [hop.tokens for hop in flow.hops] == [8, 25, 50, 100]
    assert [timing.size for timing in lm.prefills] == [64, 256]
    assert [timing.size for timing in lm.steps] == [1, 4, 16]
    assert [timing.size for timing in stages.vocoder] == [16, 50, 100, 200]
    assert [hop.near.frames for hop in flow.hops] == [22, 50, 100, 200]
    assert [hop.far.frames for hop in flow.hops] == [22, 50, 100, 200]
    assert flow.uncached.frames == 2 * (50 + 100 + 100)
    solves = [flow.uncached, *(solve for hop in flow.hops for solve in (hop.near, hop.far))]
    times = [timing.ms for timing in (*lm.prefills, *lm.steps, *stages.vocoder)]
    times += [ms for solve in solves for ms in (solve.start_ms, solve.step_ms)]
    assert min(times) > 0
    assert 0 < stages.loaded_bytes <= stages.peak_bytes


class Taking:
    """Work that takes so many seconds, the first time and then, on a clock of its own."""

    def __init__(self, *seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self._seconds = seconds
        self._now = 0.0
        monkeypatch.setattr("bench.stopwatch.time.perf_counter", lambda: self._now)

    def __call__(self) -> None:
        self._now += self._seconds[min(self.calls, len(self._seconds) - 1)]
        self.calls += 1


def test_the_first_time_warms_up_and_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Taking(1.0, 0.5, 0.25, monkeypatch=monkeypatch)
    assert stopwatch.median_ms(work, limit_seconds=2.0) == 250
    assert work.calls == 5


def test_where_there_is_no_time_for_a_second_the_first_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Taking(3.0, monkeypatch=monkeypatch)
    assert stopwatch.median_ms(work, limit_seconds=2.0) == 3000
    assert work.calls == 1


def test_what_takes_no_time_is_not_repeated_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Taking(0.0, monkeypatch=monkeypatch)
    stopwatch.median_ms(work, limit_seconds=1.0)
    assert work.calls == 1 + stopwatch.REPETITIONS
