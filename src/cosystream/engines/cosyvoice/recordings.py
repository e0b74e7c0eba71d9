"""Recordings from which voices are learnt: those installed in a folder, and those that the embedded voice makes."""

import logging
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.engines.cosyvoice.prompts import MAX_SECONDS, check_recording
from cosystream.engines.files import write_whole
from cosystream.errors import InvalidRequest
from cosystream.types import Prompt, SynthesisRequest

logger = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
BORROWED_TEXT = "今天的天气真不错，我们一起去公园走一走，听一听鸟儿唱歌，再找个安静的地方坐下来，慢慢地聊聊天。"
"""What the embedded voice says into the microphone: some eight seconds with most of the sounds of Mandarin."""


@dataclass(frozen=True, slots=True)
class Recordings:
    """What a folder holds: recordings by the name of their voice, and what is wrong with those that are none."""

    prompts: Mapping[str, Prompt]
    problems: tuple[str, ...]
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Where each of them is."""


def installed(folder: Path) -> Recordings:
    """The recordings in ``folder``: ``NAME.wav`` (or flac, ogg, mp3), and what is said in it in ``NAME.txt``.

    Without a folder there are none. One that cannot be learnt from is told and left out: the others can.
    """
    prompts: dict[str, Prompt] = {}
    paths: dict[str, Path] = {}
    problems = []
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        name = unicodedata.normalize("NFC", path.stem)  # as it is asked for, however the disk spells it
        if name in prompts:
            problems.append(f"{path.name}: there is another recording of {name}, which is used")
            continue
        try:
            prompts[name], paths[name] = _read(path), path
        except InvalidRequest as error:
            problems.append(f"{path.name}: {str(error).removeprefix('prompt_wav: ')}")
        except OSError as error:
            problems.append(f"{path.name}: {error.strerror}")
    return Recordings(prompts, tuple(problems), paths)


def borrowed(names: Collection[str], cache_dir: Path, num_threads: int) -> Recordings:
    """Recordings of those speakers of the embedded voice, made once and kept in ``cache_dir``.

    Raises ConfigError or OSError where they cannot be made.
    """
    folder = cache_dir / "voices"
    if absent := [name for name in names if name not in installed(folder).prompts]:
        from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer

        logger.info("recording %s with the embedded voice, once", ", ".join(absent))
        synthesizer = KokoroSynthesizer(cache_dir=cache_dir / "kokoro", num_threads=num_threads)
        folder.mkdir(parents=True, exist_ok=True)
        for name in absent:
            chunks = synthesizer.synthesize(synthesizer.prepare(SynthesisRequest(BORROWED_TEXT, speaker=name)))
            pcm = b"".join(chunk.pcm for chunk in chunks)
            write_whole(folder / f"{name}.txt", BORROWED_TEXT.encode())
            write_whole(folder / f"{name}.wav", wav.encode(pcm, synthesizer.info.sample_rate))
    there = installed(folder)
    prompts = {name: there.prompts[name] for name in names}
    return Recordings(prompts, (), {name: there.paths[name] for name in names})


def _read(path: Path) -> Prompt:
    prompt = Prompt(path.read_bytes(), _transcript(path.with_suffix(".txt")))
    check_recording(decode(prompt.audio, max_seconds=MAX_SECONDS + 1))
    return prompt


def _transcript(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip() or None if path.exists() else None
    except UnicodeDecodeError:
        raise InvalidRequest(f"its words in {path.name} are not in UTF-8; save them so") from None
