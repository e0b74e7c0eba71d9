"""A HyperPyYAML file read as data: what would construct, call or compute there is described here, and no more."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from cosystream.errors import CheckpointError

MAX_BYTES = 200_000
MAX_EXPRESSION = 200
"""Characters of a reference with its arithmetic."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """What ``!new:``, ``!name:`` or ``!apply:`` stands before: a name, and the fields it would be given."""

    name: str
    """Of a class or function, with its path."""
    fields: object


@dataclass(frozen=True, slots=True)
class Reference:
    """``!ref``: an expression over the top-level keys."""

    expression: str


class _Loader(yaml.SafeLoader):
    """The safe loader, and four tags more that stay descriptions."""

    tags: ClassVar[tuple[str, ...]] = ("!new:", "!name:", "!apply:")

    def describe(self, suffix: str, node: yaml.Node) -> Tagged:
        return Tagged(suffix, self._content(node))

    def reference(self, node: yaml.Node) -> Reference:
        if not isinstance(node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "!ref wants <key>", node.start_mark)
        return Reference(str(node.value))

    def unknown(self, node: yaml.Node) -> None:
        raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not allowed", node.start_mark)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave ``<<`` where it is, a tag like any other: a few lines of merges can ask for gigabytes."""

    def _content(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        return None if node.value == "" else node.value


for _tag in _Loader.tags:
    _Loader.add_multi_constructor(_tag, _Loader.describe)
_Loader.add_constructor("!ref", _Loader.reference)
_Loader.add_constructor(None, _Loader.unknown)
# 1e-06 without a dot, which YAML 1.1 took for a word.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, object]:
    """The top level of the file, with tags as ``Tagged`` and ``Reference``."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: is no configuration, at {path.stat().st_size} bytes")
        content = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - a SafeLoader that constructs nothing
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise CheckpointError(f"{path}:{line} {error.problem}") from None
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not YAML: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected keys and values at the top level")
    return content


OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def resolve(value: object, top: Mapping[str, object]) -> object:
    """``value``, or what it refers to at the ``top`` level; ValueError says why not."""
    return _resolve(value, top, ())


def _resolve(value: object, top: Mapping[str, object], seen: tuple[str, ...]) -> object:
    if not isinstance(value, Reference):
        return value
    keys: list[str] = []

    def name(match: re.Match[str]) -> str:
        keys.append(match[1])
        return f"key{len(keys) - 1}"

    text = re.sub(r"<([^<>]*)>", name, value.expression[: MAX_EXPRESSION + 1]).strip()
    if len(value.expression) > MAX_EXPRESSION:
        raise ValueError("the reference is too long")
    for key in keys:
        if key in seen:
            raise ValueError(f"<{key}> refers to itself")
        if key not in top:
            raise ValueError(f"refers to <{key}>, which is not there")
    values = [_resolve(top[key], top, (*seen, key)) for key in keys]
    if text == "key0":
        return values[0]
    try:
        return _evaluate(ast.parse(text, mode="eval").body, values)
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError):
        raise ValueError(f"cannot compute {value.expression!r}") from None


def _evaluate(node: ast.expr, values: list[object]) -> int | float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if re.fullmatch(r"key\d+", name) and int(name[3:]) < len(values):
            value = values[int(name[3:])]
            if isinstance(value, int | float) and not isinstance(value, bool):
                return value
            raise ValueError(f"cannot compute with {value!r:.60}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            result = OPERATORS[type(op)](_evaluate(left, values), _evaluate(right, values))
            assert isinstance(result, int | float)
            return result
    raise ValueError("only + - * / // % of numbers and <keys> can be computed")
