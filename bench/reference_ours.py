"""``python -m bench.reference_ours MODEL``: our engine, asked over stdin as the reference is (reference_protocol)."""

import argparse
import os
import tempfile
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import torch

from bench.reference_protocol import BLOCK, SMALL, About, Arrival, Speech, serve
from cosystream.engines.cosyvoice.alignment import num_dropped
from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.frontend import flow_prompt, voice_key
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.utterance import Conditions, Segment, Utterance
from cosystream.models.cosyvoice.flow import FlowPrompt
from cosystream.models.cosyvoice.speakers import EMBEDDING_SIZE, FRAMES_PER_TOKEN, MEL_BINS, PromptFeatures
from cosystream.models.cosyvoice.speech_lm import SpeechLength
from cosystream.models.devices import multiplies_bfloat16
from cosystream.runtime.protocol import Failed, Finished
from cosystream.types import AudioChunk, JobId

BLOCK_TOKENS, LOOKAHEAD = 25, 3
TOKEN_RATE = 25


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.reference_ours")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    given = parser.parse_args()
    serve(lambda: Ours(given.model, given.threads))


class Ours:
    """Two cores over the same folder: one begins to speak once a block of tokens is there, the other sooner."""

    def __init__(self, folder: Path, num_threads: int) -> None:
        """Raises CheckpointError."""
        with tempfile.TemporaryDirectory() as nothing:  # no voices but those that it is told
            small = CosyVoiceOptions(voices_dir=Path(nothing), cache_dir=Path(nothing), num_threads=num_threads)
            ways = {BLOCK: replace(small, first_hop=0), SMALL: small}
            self._cores = {way: CosyVoiceCore(folder, options) for way, options in ways.items()}
        is_bfloat16 = multiplies_bfloat16(torch.device("cpu"))
        self.about = About(
            {name: version(name) for name in ("cosystream", "torch")},
            torch.get_num_threads(),
            "bfloat16" if is_bfloat16 else "float32",
        )

    def speak(self, way: str, speech: Speech, num_streams: int) -> Sequence[Sequence[Arrival]]:
        core, prompt = self._cores[way], _prompt(speech)
        jobs = [JobId(index) for index in range(num_streams)]
        arrivals: dict[JobId, list[Arrival]] = {job: [] for job in jobs}
        began = time.perf_counter()
        for job in jobs:
            core.submit(job, _utterance(speech, prompt, seed=job))
        unfinished = set(jobs)
        while unfinished:
            for job, output in core.step():
                match output:
                    case AudioChunk(num_samples=num_samples):
                        audio_seconds = num_samples / core.info.sample_rate
                        arrivals[job].append(Arrival(time.perf_counter() - began, audio_seconds))
                    case Finished():
                        unfinished.discard(job)
                    case Failed(message):
                        raise RuntimeError(message)
        if core.load.retries:
            raise RuntimeError("it had to speak twice, since the first time was noise; these weights measure nothing")
        return [arrivals[job] for job in jobs]

    def chunk_seconds(self, way: str, speech: Speech, behind: Sequence[int]) -> Sequence[float]:
        """Of the chunk that is played so many tokens on, but not of the first, which is another matter."""
        (arrivals,) = self.speak(way, replace(speech, num_tokens=max(behind) + 3 * BLOCK_TOKENS), 1)
        taken = {}
        for before, arrival in pairwise(arrivals):
            taken[arrival] = (arrival.at_seconds - before.at_seconds) / arrival.audio_seconds
        ends = list(accumulate(arrival.audio_seconds for arrival in arrivals))
        heard = [bisect_right(ends, tokens / TOKEN_RATE) for tokens in behind]
        return [taken[arrivals[max(1, index)]] for index in heard]


def _prompt(speech: Speech) -> FlowPrompt:
    """The same for the same speech. As the front end has it, the flow is told no more of it than fills its blocks."""
    generator, num_tokens = np.random.default_rng(0), len(speech.prompt_speech)
    features = PromptFeatures(
        np.array(speech.prompt_speech),
        generator.standard_normal((FRAMES_PER_TOKEN * num_tokens, MEL_BINS), np.float32),
        generator.standard_normal(EMBEDDING_SIZE, np.float32),
    )
    return flow_prompt(features, num_dropped=num_dropped(num_tokens, block=BLOCK_TOKENS, lookahead=LOOKAHEAD))


def _utterance(speech: Speech, prompt: FlowPrompt, seed: int) -> Utterance:
    length = SpeechLength(speech.num_tokens, speech.num_tokens)
    conditions = Conditions(speech.prompt_text, speech.prompt_speech, prompt, voice_key(prompt))
    return Utterance((Segment("", speech.text, length),), conditions, speed=1.0, seed=seed)


if __name__ == "__main__":
    main()
