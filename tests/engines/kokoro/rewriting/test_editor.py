import numpy as np
import pytest
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from cosystream.engines.kokoro.rewriting.editor import GraphEditor, other_input


def floats(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])


@pytest.fixture
def model() -> ModelProto:
    """(x + 2) * (x + 2) - x, and a node that nothing reads."""
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Add", ["x", "two"], ["sum"], "in/sum"),
                helper.make_node("Mul", ["sum", "sum"], ["square"], "in/square"),
                helper.make_node("Neg", ["square"], ["unread"], "in/unread"),
                helper.make_node("Sub", ["square", "x"], ["y"], "out/y"),
            ],
            "whole",
            [floats("x")],
            [floats("y")],
            [numpy_helper.from_array(np.array([2], np.float32), "two")],
        )
    )


def operators(model: ModelProto) -> list[str]:
    checker.check_model(model)
    return [node.op_type for node in model.graph.node]


def test_what_no_output_needs_is_left_behind(model: ModelProto) -> None:
    part = GraphEditor(model).cut({"x": floats("x")}, {"sum": floats("sum")})
    assert operators(part) == ["Add"]


def test_a_part_begins_behind_its_inputs_and_calls_them_as_it_is_told(model: ModelProto) -> None:
    part = GraphEditor(model).cut({"square": floats("s"), "x": floats("x")}, {"y": floats("rest")})
    assert operators(part) == ["Sub"]
    assert list(part.graph.node[0].input) == ["s", "x"]
    assert list(part.graph.node[0].output) == ["rest"]
    assert not part.graph.initializer


def test_a_tensor_can_be_made_anew(model: ModelProto) -> None:
    graph = GraphEditor(model)
    graph.make("Exp", [graph.make("Abs", ["x"], "positive")], "square")
    part = graph.cut({"x": floats("x")}, {"y": floats("y")})
    assert operators(part) == ["Abs", "Exp", "Sub"]


def test_something_can_come_between_a_tensor_and_its_readers(model: ModelProto) -> None:
    graph = GraphEditor(model)
    graph.make("Relu", [graph.move("sum", "raw_sum")], "sum")
    part = graph.cut({"x": floats("x")}, {"y": floats("y")})
    assert operators(part) == ["Add", "Relu", "Mul", "Sub"]
    assert operators(model) == ["Add", "Mul", "Neg", "Sub"]  # the graph as it was read is not touched


def test_scope_is_where_patterns_are_looked_for(model: ModelProto) -> None:
    graph = GraphEditor(model, scope="in/")
    assert [node.name for node in graph.nodes] == ["in/sum", "in/square", "in/unread"]
    assert [node.name for node in graph.readers()["square"]] == ["in/unread", "out/y"]


def test_a_node_that_reads_a_tensor_twice_is_one_reader(model: ModelProto) -> None:
    assert [node.name for node in GraphEditor(model).readers()["sum"]] == ["in/square"]


def test_constants_are_told_from_what_is_made(model: ModelProto) -> None:
    graph = GraphEditor(model)
    assert graph.is_constant("two")
    assert not graph.is_constant("sum")
    assert graph.constant("two") == np.array([2], np.float32)


def test_the_other_input_of_a_node(model: ModelProto) -> None:
    assert other_input(model.graph.node[0], "x") == "two"
