"""A tool to change an ONNX graph: say anew how a tensor is made, then cut out the part that leads to some outputs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Readers = Mapping[str, Sequence[NodeProto]]
"""By tensor: the nodes that take it."""


class GraphEditor:
    """Knows which node makes each tensor. What no output needs any more is left behind when a part is cut out.

    ``scope`` is how the names of the nodes begin that are to be changed.
    """

    def __init__(self, model: ModelProto, scope: str = "") -> None:
        self._model = model
        self._scope = scope
        self._makers = {output: node for node in model.graph.node for output in node.output}
        self._constants = {constant.name: constant for constant in model.graph.initializer}

    @property
    def nodes(self) -> Iterator[NodeProto]:
        """The nodes in scope, as they were read and in their order: a place to look for patterns."""
        return (node for node in self._model.graph.node if node.name.startswith(self._scope))

    def maker(self, tensor: str) -> NodeProto:
        maker: NodeProto = self._makers[tensor]
        return maker

    def readers(self) -> Readers:
        """Of the whole graph as it was read, in its order."""
        readers: defaultdict[str, list[NodeProto]] = defaultdict(list)
        for node in self._model.graph.node:
            for tensor in dict.fromkeys(node.input):
                readers[tensor].append(node)
        return readers

    def is_constant(self, tensor: str) -> bool:
        return tensor in self._constants

    def constant(self, tensor: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._constants[tensor])

    def add_constant(self, name: str, value: NDArray[Any]) -> str:
        """Returns ``name``, so that it can stand where a node's input is named."""
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def make(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: int | Sequence[int]) -> str:
        """Let a new node make ``outputs``, whatever made them so far. Returns the first of them."""
        node = helper.make_node(operator, inputs, outputs)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._makers.update(dict.fromkeys(outputs, node))
        return outputs[0]

    def move(self, tensor: str, name: str) -> str:
        """Let what makes ``tensor`` make ``name`` instead, so that something new can make ``tensor`` of it."""
        node = NodeProto()
        node.CopyFrom(self._makers[tensor])
        node.output[:] = [name if output == tensor else output for output in node.output]
        self._makers.update(dict.fromkeys(node.output, node))
        return name

    def cut(self, inputs: dict[str, ValueInfoProto], outputs: dict[str, ValueInfoProto]) -> ModelProto:
        """The part of the graph between two sets of tensors, each with what it is to be called and is there."""
        nodes, constants = self._needed(outputs, given=inputs)
        part = helper.make_model(
            helper.make_graph(nodes, "part", [*inputs.values()], [*outputs.values()], constants),
            opset_imports=self._model.opset_import,
        )
        part.ir_version = self._model.ir_version
        _rename(part.graph, {tensor: info.name for tensor, info in (inputs | outputs).items()})
        return part

    def _needed(self, outputs: Iterable[str], given: Iterable[str]) -> tuple[list[NodeProto], list[TensorProto]]:
        """What makes ``outputs`` out of ``given``: nodes, each after those that it reads from, and constants."""
        nodes: list[NodeProto] = []
        constants: list[TensorProto] = []
        seen = {"", *given}  # "" stands for an optional input that is left out
        pending: list[str | NodeProto] = list(outputs)
        while pending:
            todo = pending.pop()
            if isinstance(todo, NodeProto):  # all that it reads has been made
                nodes.append(todo)
            elif todo not in seen:
                seen.add(todo)
                if todo in self._makers:
                    node = self._makers[todo]
                    seen.update(node.output)
                    pending += [node, *node.input]
                else:
                    constants.append(self._constants[todo])
        return nodes, constants


def other_input(node: NodeProto, tensor: str) -> str:
    """Of a node with two inputs, the one that is not ``tensor``."""
    other: str
    (other,) = (each for each in node.input if each != tensor)
    return other


def _rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
