"""``cosystream doctor``: what a checkpoint's folder holds, what it needs, and what this machine has to offer."""

import importlib.metadata
import importlib.util
import os
import platform
import shlex
from collections.abc import Container, Sequence
from pathlib import Path

from cosystream.cli.sizes import readable
from cosystream.config import Settings
from cosystream.cores import usable_cores
from cosystream.engines.registry import CHECKPOINTS, ENGINES, checkpoints
from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.folder import FATAL, VOICES, look_into

PACKAGES = {
    "torch": "torch",
    "torchaudio": "torchaudio",
    "onnxruntime": "onnxruntime",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "soundfile": "soundfile",
    "yaml": "pyyaml",
    "wetext": "wetext",
}
"""What a checkpoint needs, by module, and the name to install it by."""
NUM_SHOWN = 20
"""Of the tensors of one file that do not fit."""


def doctor(settings: Settings) -> int:
    """Print all there is to know before a checkpoint is served; the exit status, 2 if it cannot be."""
    absent = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    folder = Path(settings.model) if settings.model != "auto" else next(iter(checkpoints()), None)
    if folder is None:
        help_ = "cosystream fetch Fun-CosyVoice3-0.5B brings one, --model DIR names one elsewhere"
        problems = [f"there is none in {CHECKPOINTS}; {help_}"]
    else:
        try:
            problems = _examine(folder, settings, absent)
        except CheckpointError as error:
            problems = [str(error)]
    _print_machine(absent)
    if absent:
        problems.append(f"{', '.join(absent)} not installed; pip install -e '.[cosyvoice]' would help")
    if folder is None:
        print("\nNo checkpoint can be served:", *problems, sep="\n  ")
        if ENGINES["kokoro"].missing(settings) is None:
            print("Without one, cosystream serve speaks with its embedded voice.")
        return 2
    if problems:
        print("\nIt cannot be served:", *problems, sep="\n  ")
        return 2
    print(f"\nIt can be served: cosystream serve --model {shlex.quote(str(folder))}")
    return 0


def _examine(folder: Path, settings: Settings, absent: Sequence[str]) -> list[str]:
    """Print what is in ``folder`` as far as it can be read without what is ``absent``; what is wrong with it."""
    contents = look_into(folder)
    print(f"{folder}: {contents.version}\n")
    _print_table(
        ("FILE", "SIZE", "", "WHAT IT IS"),
        *(
            (entry.name, "" if entry.num_bytes is None else readable(entry.num_bytes), entry.state.value, entry.purpose)
            for entry in contents.entries
        ),
    )
    unusable = {entry.name: entry.state.value for entry in contents.entries if entry.state in FATAL}
    problems = [f"{name}: {state}" for name, state in unusable.items()]
    if "pyyaml" in absent:
        return problems
    from cosystream.models.cosyvoice.checkpoint import read_config

    try:
        config = read_config(folder)
    except CheckpointError as error:
        return [*problems, str(error)]
    if "torch" in absent or "safetensors" in absent:
        return problems
    problems += _examine_weights(folder, config, unusable)
    if VOICES in unusable or absent:
        return problems
    can_borrow = ENGINES["kokoro"].missing(settings) is None
    return [*problems, *_examine_voices(folder, settings.voices_dir, can_borrow=can_borrow)]


def _examine_weights(folder: Path, config: CosyVoiceConfig, unusable: Container[str]) -> list[str]:
    from cosystream.models.cosyvoice.inspection import flow_state_bytes_per_second, inspect_weights

    reports = list(inspect_weights(folder, config))
    rows = [
        (
            report.path.name,
            f"{report.num_parameters / 1e6:.1f} M",
            readable(report.num_bytes),
            "no use as it is" if report.problems else "fits",
        )
        for report in reports
    ]
    total = sum(report.num_bytes for report in reports)
    print()
    _print_table(("WEIGHTS", "PARAMETERS", "MEMORY", ""), *rows, ("together", "", readable(total), ""))
    state = readable(flow_state_bytes_per_second(config))
    print(f"and {state} for each second of speech and prompt that is being streamed")
    problems = []
    for report in reports:
        if report.path.name in unusable:
            continue  # said already
        problems += [f"{report.path.name}: {problem}" for problem in report.problems[:NUM_SHOWN]]
        if len(report.problems) > NUM_SHOWN:
            problems.append(f"{report.path.name}: and {len(report.problems) - NUM_SHOWN} tensors more")
    return problems


def _examine_voices(folder: Path, voices_dir: Path, *, can_borrow: bool) -> list[str]:
    from cosystream.engines.cosyvoice.recordings import installed
    from cosystream.engines.cosyvoice.voices import how_to_get_voices, missing
    from cosystream.models.cosyvoice.speakers import read_speakers

    try:
        saved = read_speakers(folder / VOICES)
    except CheckpointError as error:
        return [str(error)]
    recordings = installed(voices_dir)
    recorded = recordings.prompts
    print(f"\nvoices in {VOICES}: {', '.join(saved) or 'none'}")
    print(f"voices in {voices_dir}: {', '.join(recorded) or 'none'}")
    for problem in recordings.problems:
        print(f"no voice: {problem}")
    if lacking := missing([*saved, *recorded]):
        if can_borrow and not saved:
            help_ = "they are learnt from the embedded voice"
        elif saved or recorded:
            help_ = f"whoever comes closest stands in, unless {voices_dir} holds recordings of these names"
        else:
            help_ = how_to_get_voices(voices_dir)
        print(f"missing: {', '.join(lacking)}, the names that callers of CosyVoice ask for; {help_}")
    return []


def _print_machine(absent: Sequence[str]) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    print(f"\nmachine: {usable_cores()} cores, {readable(memory)}, Python {platform.python_version()}")
    if "torch" not in absent:
        from cosystream.models.devices import gpus

        found = [f"{gpu.name} with {readable(gpu.num_bytes)}" for gpu in gpus()]
        print(f"GPUs: {', '.join(found) or 'none that torch can use'}")
    there = [name for name in PACKAGES.values() if name not in absent]
    print(f"packages: {', '.join(f'{name} {importlib.metadata.version(name)}' for name in there) or 'none'}")


def _print_table(*rows: Sequence[str]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
