"""``python -m bench.reference --reference DIR``: the reference implementation beside ours, in one interleaved run.

The reference is a checkout of FunAudioLLM/CosyVoice with Matcha-TTS in ``third_party``. It is no part of this project:
it runs in a process of its own, with a Python of its own. Both sides speak the same token ids with the same weights on
the same number of threads, and both are made to draw the same number of tokens.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from bench.neighbours import Neighbours
from bench.reference_process import SideFailed, SideProcess
from bench.reference_protocol import BLOCK, MENDED, PUBLISHED, SMALL, Side, Speech
from bench.reference_table import ChunkTimes, Comparison, Run, render
from cosystream.bench.machine import this_machine
from cosystream.cores import usable_cores

END_OF_PROMPT = 151646
"""The text token without which v3 does not begin to speak."""
PROMPT_TEXT = (*range(1000, 1020), END_OF_PROMPT, *range(2000, 2015))
TOKENS_PER_TEXT = 5
"""Speech tokens that a text token becomes, more or less."""
WARM_UP_TOKENS = 8
BLOCK_TOKENS = 25
TOKEN_RATE = 25
NEEDED = ("cosyvoice/cli/model.py", "third_party/Matcha-TTS/matcha/models/components/flow_matching.py")


@dataclass(frozen=True, slots=True)
class Plan:
    reference: Path
    model: Path | None
    python: Path
    json: Path | None
    tokens: int
    prompt_tokens: int
    streams: int
    late_second: int
    repetitions: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sides:
    theirs: Side
    ours: Side


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 if a side could not be measured."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    plan = _plan(given)
    try:
        with _checkpoint(plan.model) as folder:
            comparison = _compare(plan, folder, shlex.join(("python", "-m", "bench.reference", *given)))
    except SideFailed as error:
        print(f"{error.last_words}\nnot measured: {error}", file=sys.stderr)
        return 1
    if plan.json is not None:
        plan.json.write_bytes(orjson.dumps(comparison, option=orjson.OPT_INDENT_2) + b"\n")
    print(render(comparison))
    return 0


def speech(num_tokens: int, num_prompt_tokens: int) -> Speech:
    """Ids without a meaning: the weights are random, and the time is the same."""
    num_text = max(1, num_tokens // TOKENS_PER_TEXT)
    return Speech(PROMPT_TEXT, tuple(range(3000, 3000 + num_text)), tuple(range(num_prompt_tokens)), num_tokens)


def take_turns(sides: Sides, what: Speech, num_streams: int, repetitions: int) -> Iterator[Run]:
    """One listener and several, in every way, again and again."""
    for _ in range(repetitions):
        for side, way in (
            (sides.theirs, PUBLISHED),
            (sides.ours, BLOCK),
            (sides.theirs, MENDED),
            (sides.ours, SMALL),
        ):
            yield _run(side, way, what, 1)
        for side, way in ((sides.theirs, PUBLISHED), (sides.ours, SMALL), (sides.theirs, MENDED)):
            yield _run(side, way, what, num_streams)


def _compare(plan: Plan, folder: Path, command: str) -> Comparison:
    what = speech(plan.tokens, plan.prompt_tokens)
    short = speech(WARM_UP_TOKENS, plan.prompt_tokens)
    behind = (0, BLOCK_TOKENS * (plan.late_second - 1))
    neighbours = Neighbours()
    their_command = (str(plan.python), "-m", "bench.reference_theirs", str(plan.reference), str(folder))
    our_command = (sys.executable, "-m", "bench.reference_ours", str(folder))
    threads = ("--threads", str(plan.threads))
    with (
        SideProcess.running((*their_command, *threads)) as theirs,
        SideProcess.running((*our_command, *threads)) as ours,
    ):
        for side, way in ((theirs, PUBLISHED), (ours, BLOCK), (ours, SMALL)):
            _run(side, way, short, 1)
        runs = tuple(take_turns(Sides(theirs, ours), what, plan.streams, plan.repetitions))
        chunks = {
            way: ChunkTimes(*side.chunk_seconds(way, what, behind))
            for side, way in ((ours, BLOCK), (ours, SMALL), (theirs, PUBLISHED))
        }
    return Comparison(
        command=command,
        date=datetime.now(UTC).date().isoformat(),
        machine=this_machine(),
        neighbour_cores=neighbours.cores(),
        checkpoint="random" if plan.model is None else plan.model.name,
        num_tokens=plan.tokens,
        num_prompt_tokens=plan.prompt_tokens,
        late_second=plan.late_second,
        theirs=theirs.about,
        ours=ours.about,
        runs=runs,
        chunks=chunks,
    )


def _run(side: Side, way: str, what: Speech, num_streams: int) -> Run:
    run = Run(way, tuple(map(tuple, side.speak(way, what, num_streams))))
    first, last = (f(a[i].at_seconds for a in run.streams) for f, i in ((min, 0), (max, -1)))
    print(f"{way}, {num_streams} at once: {first:.2f} s to the first audio, {last:.1f} s in all", file=sys.stderr)
    return run


def _positive(written: str) -> int:
    value = int(written)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _absolute(written: str) -> Path:
    """Both sides run in a folder of their own."""
    return Path(written).absolute()


@contextmanager
def _checkpoint(model: Path | None) -> Iterator[Path]:
    """The folder given; else random weights at full size, 4 GB for as long as the context lasts."""
    if model is not None:
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="cosystream-bench-") as folder:
        subprocess.run([sys.executable, "-m", "tests.support.checkpoints", folder, "--version", "3"], check=True)
        yield Path(folder)


def _plan(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser("python -m bench.reference", description=__doc__.split("\n")[0].partition(": ")[2])
    parser.add_argument("--reference", type=_absolute, required=True, metavar="DIR", help="the reference's checkout")
    parser.add_argument(
        "--python", type=_absolute, default=Path(sys.executable), help="a Python that has the reference's packages"
    )
    parser.add_argument("--model", type=_absolute, metavar="DIR", help="a v3 checkpoint, instead of random weights")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the raw figures")
    parser.add_argument("--tokens", type=_positive, default=250, help="speech tokens to be drawn [250]")
    parser.add_argument("--prompt-tokens", type=_positive, default=75, help="speech tokens of the voice [75]")
    parser.add_argument("--streams", type=_positive, default=4, help="listeners at once, 2 or more [4]")
    parser.add_argument("--late-second", type=_positive, default=30, help="of the audio, whose chunk is timed [30]")
    parser.add_argument("--repetitions", type=_positive, default=3, help="of which medians are told [3]")
    parser.add_argument("--threads", type=_positive, default=usable_cores(), help="of each side [all cores]")
    plan = Plan(**vars(parser.parse_args(arguments)))
    for needed in NEEDED:
        if not (plan.reference / needed).is_file():
            parser.error(f"--reference {plan.reference}: there is no {needed}; it takes a checkout with its submodule")
    if plan.model is not None and not (plan.model / "cosyvoice3.yaml").is_file():
        parser.error(f"--model {plan.model}: there is no cosyvoice3.yaml")
    if plan.streams < 2:
        parser.error("--streams takes 2 or more; one listener is measured anyhow")
    return plan


if __name__ == "__main__":
    sys.exit(main())
