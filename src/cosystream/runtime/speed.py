"""How fast an engine speaks, as measured: what requests will probably take, and how long others wait for them."""

from collections.abc import Iterable

from cosystream.runtime.admission import waits
from cosystream.runtime.job import Job
from cosystream.runtime.stats import Distribution, Ratio
from cosystream.runtime.worker import Stepped
from cosystream.types import AudioChunk, SynthesisRequest

STEP_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Speed:
    """Learns from the steps of the worker, and from jobs that have been spoken to their end."""

    def __init__(self) -> None:
        self.step_times = Distribution(STEP_SECONDS)
        self.batch_sizes = Distribution(BATCH_SIZES)
        self._rtf = Ratio(initial=0.5, half_life=20.0)
        self._pace = Ratio(initial=0.25, half_life=100.0)  # seconds of audio per character

    @property
    def rtf(self) -> float:
        """Busy seconds of the worker per second of audio, lately."""
        return self._rtf.value

    def stepped(self, step: Stepped, sample_rate: int) -> None:
        self.batch_sizes.observe(step.load.batch_size)
        for seconds in step.step_seconds:
            self.step_times.observe(seconds)
        samples = sum(output.num_samples for _, output in step.outputs if isinstance(output, AudioChunk))
        self._rtf.observe(sum(step.step_seconds), samples / sample_rate)

    def spoken(self, job: Job) -> None:
        self._pace.observe(job.meter.audio_seconds * job.request.speed, len(job.request.text))

    def work(self, request: SynthesisRequest) -> float:
        """Busy seconds that ``request`` will probably take."""
        return len(request.text) * self._pace.value / request.speed * self.rtf

    def waits(
        self, running: Iterable[Job], line: Iterable[Job], capacity: int, newcomers: Iterable[SynthesisRequest] = ()
    ) -> list[float]:
        """Seconds until each job in ``line`` is begun, and then each newcomer, where ``capacity`` jobs run at once."""
        in_line = [self._work_left(job) for job in line]
        return waits(map(self._work_left, running), [*in_line, *map(self.work, newcomers)], capacity)

    def _work_left(self, job: Job) -> float:
        return max(0.0, self.work(job.request) - job.meter.audio_seconds * self.rtf)
