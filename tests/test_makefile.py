import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def plan(*variables: str, **environ: str) -> list[str]:
    """What ``make run`` would do where nothing is installed."""
    of_make = ("MAKE", "MFLAGS", "MODEL", "COSYSTREAM_MODEL")  # which may run these tests
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(of_make)}
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "run", "VENV=/nowhere", *variables],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=inherited | environ,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("variables", [(), ("MODEL=auto",)])
def test_without_a_model_the_settings_choose_one(variables: tuple[str, ...]) -> None:
    assert plan(*variables)[-1] == "/nowhere/bin/cosystream serve"
    assert not any("cosyvoice" in line for line in plan(*variables))


def test_a_model_is_served_with_what_it_needs() -> None:
    assert plan("MODEL=some/folder")[-1] == "/nowhere/bin/cosystream serve --model some/folder"
    assert any("embedded,cosyvoice]" in line for line in plan("MODEL=some/folder"))


def test_a_model_in_a_variable_gets_what_it_needs_and_is_left_to_the_settings() -> None:
    lines = plan(COSYSTREAM_MODEL="some/folder")
    assert lines[-1] == "/nowhere/bin/cosystream serve"
    assert any("embedded,cosyvoice]" in line for line in lines)
