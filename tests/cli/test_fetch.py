import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cosystream import __version__
from cosystream.cli.fetch import REPOSITORIES, fetch
from cosystream.cli.main import main
from cosystream.errors import ConfigError
from tests.support.hub import FakeHub, running_hub

REPOSITORY = "FunAudioLLM/Fun-CosyVoice3-0.5B-2512"
NEEDED = {
    "cosyvoice3.yaml": b"sample_rate: 24000\n",
    "llm.pt": bytes(range(256)) * 20,
    "flow.pt": b"flow" * 500,
    "speech_tokenizer_v3.onnx": b"onnx" * 500,
    "CosyVoice-BlankEN/vocab.json": b"{}",
    "CosyVoice-BlankEN/merges.txt": b"",
    "spk2info.pt": b"speakers",
}
REST = {
    ".gitattributes": b"*.pt filter=lfs",
    "llm.rl.pt": b"other" * 400,
    "speech_tokenizer_v3.batch.onnx": b"batch" * 400,
    "flow.decoder.estimator.fp32.onnx": b"estimator" * 400,
    "flow.encoder.fp16.zip": b"zip" * 400,
    "CosyVoice-BlankEN/model.safetensors": b"overwritten" * 400,
    "asset/dingding.png": b"picture",
}
PART_BYTES = 10 << 20
"""What the library writes at a time: what is lost of the last bytes is less than that."""
LARGE = NEEDED | {"llm.pt": bytes(range(256)) * (PART_BYTES // 256 + 1)}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with running_hub(REPOSITORY, NEEDED | REST) as hub:
        yield hub


@pytest.fixture
def hub_with_large_file() -> Iterator[FakeHub]:
    with running_hub(REPOSITORY, LARGE) as hub:
        yield hub


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose llm.pt has not come to its end; once for all, since the library waits a second for the hub."""
    folder = tmp_path_factory.mktemp("interrupted")
    with running_hub(REPOSITORY, LARGE) as hub:
        hub.cut_at = {"llm.pt": len(LARGE["llm.pt"]) - 1}
        with pytest.raises(ConfigError, match=r"answered 503\. What has arrived is kept: run this again"):
            bring(hub, folder)
    assert not (folder / "llm.pt").exists()
    return folder


def bring(
    hub: FakeHub,
    into: Path,
    name: str = "Fun-CosyVoice3-0.5B",
    *,
    hub_name: str = "huggingface",
    everything: bool = False,
    token: str = "",
) -> int:
    environ = hub.environ() | {"HF_TOKEN": token}
    return fetch(name, hub_name=hub_name, into=into, everything=everything, environ=environ)


def run_command(folder: Path, hub: FakeHub, *flags: str, **variables: str) -> None:
    """Run the command in a process of its own, since the library reads the environment once."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    code = "import sys; from cosystream.cli.main import main; sys.exit(main(['fetch', *sys.argv[1:]]))"
    subprocess.run(
        [sys.executable, "-c", code, "Fun-CosyVoice3-0.5B", *flags],
        check=True,
        cwd=folder,
        env=environ | hub.environ() | variables,
        stderr=subprocess.PIPE,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("hub_name", ["huggingface", "modelscope"])
@pytest.mark.parametrize("everything", [False, True])
def test_brings_what_is_needed_or_everything(tmp_path: Path, hub: FakeHub, hub_name: str, *, everything: bool) -> None:
    assert bring(hub, tmp_path / "model", hub_name=hub_name, everything=everything) == 0
    assert contents(tmp_path / "model") == (NEEDED | REST if everything else NEEDED)


@pytest.mark.parametrize("name", REPOSITORIES)
@pytest.mark.parametrize("hub_name", ["huggingface", "modelscope"])
def test_each_name_has_its_repository_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hub_name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with running_hub(REPOSITORIES[name][hub_name], {"cosyvoice2.yaml": b""}) as hub:
        assert fetch(name, hub_name=hub_name, into=None, everything=False, environ=hub.environ()) == 0
    assert contents(tmp_path) == {f"pretrained_models/{name}/cosyvoice2.yaml": b""}


def test_any_other_repository_can_be_named(tmp_path: Path) -> None:
    with running_hub("someone/my-voice", {"cosyvoice3.yaml": b"a b", "a b/ü.json": b"{}"}) as hub:
        assert bring(hub, tmp_path, "someone/my-voice") == 0
    assert contents(tmp_path) == {"cosyvoice3.yaml": b"a b", "a b/ü.json": b"{}"}


@pytest.mark.parametrize("hub_name", ["huggingface", "modelscope"])
def test_an_interrupted_download_goes_on_where_it_was(
    tmp_path: Path, interrupted: Path, hub_with_large_file: FakeHub, hub_name: str
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    assert bring(hub_with_large_file, tmp_path, hub_name=hub_name) == 0
    assert contents(tmp_path) == LARGE
    assert hub_with_large_file.asked[0] == ("llm.pt", f"bytes={PART_BYTES}-")


def test_a_server_that_knows_no_ranges_will_do(tmp_path: Path, interrupted: Path, hub_with_large_file: FakeHub) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    hub_with_large_file.knows_ranges = False
    assert bring(hub_with_large_file, tmp_path) == 0
    assert contents(tmp_path) == LARGE


def test_another_version_does_not_go_on_with_what_has_arrived_of_the_last(
    tmp_path: Path, interrupted: Path, hub: FakeHub
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    assert bring(hub, tmp_path) == 0
    assert (tmp_path / "llm.pt").read_bytes() == NEEDED["llm.pt"]
    assert ("llm.pt", "") in hub.asked


def test_what_is_there_is_not_brought_again(tmp_path: Path, hub: FakeHub) -> None:
    bring(hub, tmp_path)
    before = len(hub.asked)
    assert bring(hub, tmp_path) == 0
    assert len(hub.asked) == before


@pytest.mark.parametrize("path", ["llm.pt", "CosyVoice-BlankEN/vocab.json"])
def test_a_file_that_was_damaged_on_its_way_is_not_kept(tmp_path: Path, hub: FakeHub, path: str) -> None:
    content = NEEDED[path]
    hub.altered = {path: content[:1] + b"!" + content[2:]}
    with pytest.raises(ConfigError, match=rf"{path} does not have the checksum"):
        bring(hub, tmp_path)
    assert path not in contents(tmp_path)
    hub.altered = {}
    assert bring(hub, tmp_path) == 0
    assert contents(tmp_path) == NEEDED


@pytest.mark.parametrize("damage", [b"", b"x" * len(NEEDED["flow.pt"]), NEEDED["flow.pt"] + b"x"])
def test_a_file_that_was_damaged_on_disk_is_replaced(
    tmp_path: Path, hub: FakeHub, capfd: pytest.CaptureFixture[str], damage: bytes
) -> None:
    bring(hub, tmp_path)
    (tmp_path / "flow.pt").write_bytes(damage)
    before = len(hub.asked)
    assert bring(hub, tmp_path) == 0
    assert contents(tmp_path) == NEEDED
    assert hub.asked[before:] == [("flow.pt", "")]
    assert "flow.pt is not what the hub has" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["CosyVoice", "a/b/c", "/model", "../model", "a/my voice", ""])
def test_an_unknown_name_is_answered_with_those_there_are(tmp_path: Path, hub: FakeHub, name: str) -> None:
    with pytest.raises(ConfigError, match=r"Fun-CosyVoice3-0\.5B, CosyVoice2-0\.5B"):
        bring(hub, tmp_path, name)
    assert not hub.tokens


def test_a_name_that_no_repository_can_have_is_said_to_be_none(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(ConfigError, match="'someone/a--voice'"):
        bring(hub, tmp_path, "someone/a--voice")
    assert not hub.tokens


@pytest.mark.parametrize("hub_name", ["huggingface", "modelscope"])
def test_an_unknown_repository_is_named(tmp_path: Path, hub: FakeHub, hub_name: str) -> None:
    with pytest.raises(ConfigError, match=r"404 for .*someone/else.*no such repository"):
        bring(hub, tmp_path, "someone/else", hub_name=hub_name)


def test_a_private_repository_needs_a_token_which_goes_no_further(tmp_path: Path, hub: FakeHub) -> None:
    hub.needs_token = "secret"
    with pytest.raises(ConfigError, match=r"401 .*HF_TOKEN"):
        bring(hub, tmp_path)
    hub.tokens.clear()
    assert bring(hub, tmp_path, token="secret") == 0
    assert ("storage", "") in hub.tokens
    assert ("storage", "Bearer secret") not in hub.tokens


def test_a_repository_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with (
        running_hub("someone/data", {"data.bin": b"0" * 2000}) as hub,
        pytest.raises(ConfigError, match=r"has no cosyvoice2\.yaml or cosyvoice3\.yaml"),
    ):
        bring(hub, tmp_path, "someone/data")
    assert not hub.asked


@pytest.mark.parametrize("path", ["a/../../b.pt", "/b.pt", "..\\a/b.pt"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    with (
        running_hub("someone/bad", {"cosyvoice2.yaml": b"", path: b"0"}) as hub,
        pytest.raises(ConfigError, match="outside"),
    ):
        bring(hub, tmp_path / "model", "someone/bad")
    assert not contents(tmp_path)


def test_too_little_space_is_said_before_anything_is_brought(tmp_path: Path, hub: FakeHub) -> None:
    hub.listed_bytes = {"spk2info.pt": 10**18}
    with pytest.raises(ConfigError, match=r"model needs 1000000000.0 GB more, but [\d.]+ [GM]B are free"):
        bring(hub, tmp_path / "model")
    assert not hub.asked


def test_a_hub_that_is_away_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_hub("a/b", {}) as hub:
        pass
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:\d+: .*refused"):
        bring(hub, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "ftp://example")
    assert main(["fetch", "CosyVoice2-0.5B", "--into", str(tmp_path)]) == 2
    assert capfd.readouterr().err.endswith("\ncosystream: HF_ENDPOINT: 'ftp://example' is no http address\n")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="file/model: Not a directory"):
        bring(hub, tmp_path / "file" / "model")


@pytest.mark.parametrize("hub_name", ["huggingface", "modelscope"])
def test_what_is_no_hub_is_said_to_be_none(tmp_path: Path, hub: FakeHub, hub_name: str) -> None:
    hub.statuses = [200]
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:\d+ does not answer as .*is it a hub"):
        bring(hub, tmp_path, hub_name=hub_name)


@pytest.mark.parametrize("hub_name", ["huggingface", "modelscope"])
def test_a_hub_in_trouble_is_asked_another_time(tmp_path: Path, hub: FakeHub, hub_name: str) -> None:
    hub.statuses = [500]
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:\d+: it answered 500"):
        bring(hub, tmp_path, hub_name=hub_name)


def test_the_command_brings_a_checkpoint(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.endpoint)
    monkeypatch.chdir(tmp_path)
    assert main(["fetch", "Fun-CosyVoice3-0.5B"]) == 0
    assert contents(tmp_path / "pretrained_models" / "Fun-CosyVoice3-0.5B") == NEEDED
    assert main(["fetch", "Fun-CosyVoice3-0.5B", "--hub", "modelscope", "--all", "--into", "all"]) == 0
    assert contents(tmp_path / "all") == NEEDED | REST
    told = capfd.readouterr()
    assert told.out == ""
    assert "llm.pt: 5.1 kB" in told.err
    assert "complete and verified" in told.err
    assert main(["fetch", "nothing"]) == 2


def test_nothing_is_told_of_this_machine_and_nothing_written_but_the_checkpoint(tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "home").mkdir()
    run_command(tmp_path, hub, HOME=str(tmp_path / "home"))
    assert hub.agents == {f"cosystream/{__version__}"}
    assert contents(tmp_path) == {
        f"pretrained_models/Fun-CosyVoice3-0.5B/{path}": content for path, content in NEEDED.items()
    }


def test_a_stored_login_is_for_its_own_hub(tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "token").write_text("stored")
    run_command(tmp_path, hub, HF_TOKEN_PATH=str(tmp_path / "token"))
    assert hub.tokens == {("api", "Bearer stored"), ("FunAudioLLM", "Bearer stored"), ("storage", "")}
    hub.tokens.clear()
    run_command(tmp_path, hub, "--hub", "modelscope", "--into", "other", HF_TOKEN_PATH=str(tmp_path / "token"))
    assert hub.tokens == {("api", "")}


@pytest.mark.parametrize(
    ("before", "endpoint", "said"),
    [
        ("sys.modules['huggingface_hub'] = None; ", "http://127.0.0.1", "pip install -e '.[cosyvoice]'"),
        ("", "http://127.0.0.1:port", "HF_ENDPOINT: "),
    ],
)
def test_a_library_that_cannot_be_imported_is_an_error_of_one_line(before: str, endpoint: str, said: str) -> None:
    code = f"import sys; {before}from cosystream.cli.main import main; sys.exit(main(['fetch', 'CosyVoice2-0.5B']))"
    environ = os.environ | {"HF_ENDPOINT": endpoint}
    ended = subprocess.run([sys.executable, "-c", code], check=False, env=environ, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr


def test_other_commands_do_not_import_the_library() -> None:
    code = "import sys, cosystream.cli.main; assert not {'cosystream.cli.hubs', 'huggingface_hub'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
