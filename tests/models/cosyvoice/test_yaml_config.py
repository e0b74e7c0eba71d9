"""HyperPyYAML read as data: everything stays a description, and what could do more is refused."""

from pathlib import Path

import pytest

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.yaml_config import Reference, Tagged, read_yaml, resolve


def write(folder: Path, text: str) -> Path:
    path = folder / "a.yaml"
    path.write_text(text, "utf-8")
    return path


def test_tags_of_classes_functions_and_calls_become_descriptions(tmp_path: Path) -> None:
    text = "a: !new:os.Thing\n  size: 3\nb: !name:os.function\nc: !apply:random.seed [1986]\nd: !new:x.Y {}\n"
    assert read_yaml(write(tmp_path, text)) == {
        "a": Tagged("os.Thing", {"size": 3}),
        "b": Tagged("os.function", None),
        "c": Tagged("random.seed", [1986]),
        "d": Tagged("x.Y", {}),
    }


def test_tags_may_stand_inside_each_other_and_in_lists(tmp_path: Path) -> None:
    text = "a: !new:os.Thing\n  b: !new:os.Other\n    c: !ref <d>\nlist: [!ref <a>, !name:x.y ]\n"
    assert read_yaml(write(tmp_path, text)) == {
        "a": Tagged("os.Thing", {"b": Tagged("os.Other", {"c": Reference("<d>")})}),
        "list": [Reference("<a>"), Tagged("x.y", None)],
    }


@pytest.mark.parametrize("number", ["1e-06", "1E-06", "0.000001", "1.0e-6"])
def test_a_small_number_is_a_number_however_it_is_written(tmp_path: Path, number: str) -> None:
    assert read_yaml(write(tmp_path, f"a: {number}")) == {"a": 1e-6}


@pytest.mark.parametrize("word", ["e5", "1e", "25", "'1e-06'", "v1e5"])
def test_nothing_else_becomes_a_float(tmp_path: Path, word: str) -> None:
    assert not isinstance(read_yaml(write(tmp_path, f"a: {word}"))["a"], float)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/name:os.system",
        "!!python/module:os",
        "!include:other.yaml",
        "!newer:os.system",
        "!ref:os.system",
    ],
)
def test_any_other_tag_is_refused_with_its_line(tmp_path: Path, tag: str) -> None:
    path = write(tmp_path, f"sample_rate: 24000\nllm: {tag} ['touch trace']\n")
    with pytest.raises(CheckpointError, match=r"a\.yaml: line 2: the tag \S*") as caught:
        read_yaml(path)
    assert tag.lstrip("!") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "line 1: "),
        ("a: 1\n\tb: 2", "line 2: "),
        ("- 1\n- 2", "expected keys and values"),
        ("", "expected keys and values"),
        ("a: \x00", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("a: 2020-13-45", "is not YAML"),
        ("? !new:x.y {a: 1}\n: 1", "is not YAML"),
        (f"a: {'9' * 10_000}", "is not YAML"),
        ("a: !ref [b]", "line 1: !ref wants <key>"),
        ("a: &a {x: 1}\nb: {<<: *a}", "line 2: the tag tag:yaml.org,2002:merge"),
        ("#" * 300_000, "is no configuration"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(CheckpointError, match=rf"a\.yaml: {problem}"):
        read_yaml(write(tmp_path, text))


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(CheckpointError, match="is not YAML"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(CheckpointError, match=r"b\.yaml: No such file"):
        read_yaml(tmp_path / "b.yaml")


TOP: dict[str, object] = {"chunk": 25, "ratio": 2, "again": Reference("<chunk>"), "word": "x", "yes": True, "list": [1]}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("<chunk>", 25),
        (" <chunk> ", 25),
        ("<word>", "x"),
        ("<list>", [1]),
        ("<again>", 25),
        ("<chunk> * <ratio>", 50),
        ("<again>*<ratio>+1", 51),
        ("(<chunk> - 1) // <ratio>", 12),
        ("<chunk> / <ratio>", 12.5),
        ("<chunk> % 10", 5),
        ("-<chunk>", -25),
    ],
)
def test_a_reference_is_what_it_refers_to_or_computes(expression: str, value: object) -> None:
    assert resolve(Reference(expression), TOP) == value


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("<nothing>", "<nothing>, which is not there"),
        ("<word> * 2", "cannot compute with 'x'"),
        ("<yes> + 1", "cannot compute with True"),
        ("<list> * 1000", "cannot compute with"),
        ("<chunk> ** <chunk>", "can be computed"),
        ("<chunk> / 0", "cannot compute"),
        ("__import__('os')", "can be computed"),
        ("<chunk>.__class__", "can be computed"),
        ("key7", "can be computed"),
        ("'x' * 1000", "can be computed"),
        ("<chunk> <ratio>", "cannot compute"),
        ("chunk", "can be computed"),
        ("(" * 100 + "<chunk>" + ")" * 93, "."),
        ("1" + " + 1" * 100, "too long"),
        ("", "cannot compute"),
    ],
)
def test_a_reference_that_is_no_sum_of_keys_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        resolve(Reference(expression), TOP)


def test_references_in_a_circle_are_refused() -> None:
    top: dict[str, object] = {"a": Reference("<b>"), "b": Reference("<a> + 1")}
    with pytest.raises(ValueError, match="<a> refers to itself"):
        resolve(Reference("<a>"), top)
