import os
import sys
import textwrap

import pytest

from bench.reference_process import SideFailed, SideProcess
from bench.reference_protocol import About, Arrival, Speech

SPEECH = Speech((1, 2), (3,), (4, 5, 6), num_tokens=7)


def side(body: str = "") -> tuple[str, ...]:
    """The command of a process that answers with what it was asked, and says so on stdout too."""
    program = """
    import os
    from bench.reference_protocol import About, Arrival, Speech, serve

    class Echo:
        about = About({"process": str(os.getpid())}, 2, "float32")

        def speak(self, way, speech, num_streams):
            print("speaking", way, flush=True)
            BODY
            return [[Arrival(float(stream), speech.num_tokens)] for stream in range(num_streams)]

        def chunk_seconds(self, way, speech, behind):
            return [num_tokens / len(speech.prompt_speech) for num_tokens in behind]

    serve(Echo)
    """
    return sys.executable, "-c", textwrap.dedent(program).replace("BODY", body or "pass")


def test_it_answers_what_it_is_asked_whatever_else_it_prints() -> None:
    with SideProcess.running(side()) as process:
        assert isinstance(process.about, About)
        assert process.about.num_threads == 2
        assert process.speak("aloud", SPEECH, 2) == [[Arrival(0.0, 7.0)], [Arrival(1.0, 7.0)]]
        assert process.chunk_seconds("way", SPEECH, (0, 3)) == [0.0, 1.0]


def test_leaving_the_context_ends_the_process() -> None:
    with SideProcess.running(side()) as process:
        process_id = int(process.about.versions["process"])
        os.kill(process_id, 0)  # it is there
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_one_that_dies_of_a_question_fails_with_its_last_words() -> None:
    with SideProcess.running(side("raise SystemExit('out of breath')")) as process:
        with pytest.raises(SideFailed, match="ended with status 1") as failed:
            process.speak("aloud", SPEECH, 1)
        assert failed.value.last_words.endswith("speaking aloud\nout of breath")


def test_one_that_cannot_begin_fails_with_its_last_words() -> None:
    command = (sys.executable, "-c", "raise SystemExit('no weights')")
    with pytest.raises(SideFailed) as failed, SideProcess.running(command):
        pass
    assert failed.value.last_words == "no weights"
