"""ONNX graphs, node by node: the little that the graphs of this package want of a builder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from vsanimesr import __version__

OPSET = 17
"""All operators used are in it, and every runtime of the last years reads it."""
IR = 8
"""The file format that came with this operator set."""

type Dims = Sequence[int | str]


class Builder:
    """A graph that grows by one call an operator. Tensors are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, dtype: np.dtype[Any], dims: Dims, meaning: str = "") -> str:
        """Declare an input."""
        self._inputs.append(_value(name, dtype, dims, meaning))
        return name

    def output(
        self, tensor: str, name: str, dtype: np.dtype[Any], dims: Dims, meaning: str = ""
    ) -> None:
        """Make a tensor an output called `name`."""
        self.add("Identity", tensor, name=name)
        self._outputs.append(_value(name, dtype, dims, meaning))

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """A tensor that never changes."""
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def add(
        self,
        operator: str,
        *inputs: str,
        name: str = "",
        **attributes: Any,  # noqa: ANN401 - the operator's own
    ) -> str:
        """Add an operator of one result, and give the result's name."""
        name = name or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def scalar(self, value: float) -> str:
        """A float32 number."""
        return self.constant(np.array(value, np.float32))

    def reshape(self, tensor: str, *shape: int) -> str:
        """Give a tensor another shape; one of its lengths may be -1, for what is left."""
        return self.add("Reshape", tensor, self.constant(np.array(shape, np.int64)))

    def cut(
        self, tensor: str, axes: Sequence[int], start: Sequence[int], stop: Sequence[int]
    ) -> str:
        """The part of a tensor from `start` up to `stop` along `axes`."""
        bounds = (self.constant(np.array(part, np.int64)) for part in (start, stop, axes))
        return self.add("Slice", tensor, *bounds)

    def cast(self, tensor: str, dtype: np.dtype[Any]) -> str:
        """Change a tensor's type."""
        return self.add("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(dtype))

    def model(self, name: str, meaning: str, facts: Mapping[str, str] | None = None) -> ModelProto:
        """The finished model.

        Args:
            name: Of the graph.
            meaning: The model's documentation.
            facts: The model's metadata.
        """
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._constants.values())
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="vapoursynth-animesr",
            producer_version=__version__,
            doc_string=meaning,
        )
        helper.set_model_props(model, dict(facts or {}))
        return model


def _value(name: str, dtype: np.dtype[Any], dims: Dims, meaning: str) -> ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, element, dims, meaning)
