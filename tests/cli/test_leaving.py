import subprocess
import sys

import pytest

LEAVE = "import sys, threading; from cosystream.cli.leaving import leave; print('said', end='');"
LEFT_BEHIND = "threading.Thread(target=threading.Event().wait, daemon=True).start();"
AT_EXIT = "import atexit; atexit.register(print, ' and done', end='');"


def ended(code: str) -> tuple[int, str]:
    process = subprocess.run([sys.executable, "-c", LEAVE + code], stdout=subprocess.PIPE, text=True, check=False)
    return process.returncode, process.stdout


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_ends_as_usual_where_no_thread_is_left_behind(status: int) -> None:
    assert ended(f"{AT_EXIT} sys.exit(leave({status}))") == (status, "said and done")


@pytest.mark.parametrize("status", [0, 3])
def test_a_process_that_leaves_a_thread_behind_ends_at_once_and_loses_no_word(status: int) -> None:
    assert ended(f"{AT_EXIT} {LEFT_BEHIND} leave({status}); print('never')") == (status, "said")


def test_a_process_whose_reader_has_left_ends_with_its_status_too() -> None:
    assert ended(f"{LEFT_BEHIND} sys.stdout.close(); leave(3)")[0] == 3
