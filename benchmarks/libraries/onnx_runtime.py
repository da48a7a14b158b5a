"""ONNX Runtime, on a model of one node made in memory.

(a) A fresh output is what `run` gives, from NumPy arrays to NumPy arrays.
(b) A given output is bound beforehand, which also spares the call its look-ups: the fastest way
    the library has.
"""

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from .. import threads
from ..cell import Cell
from ..op import Inputs
from .library import Library, Spelling, Unsupported

NODES = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "logsumexp": "ReduceLogSumExp"}
SPELLINGS = dict.fromkeys(
    NODES, Spelling("session.run(names, feed)[0]", "session.run_with_iobinding(binding)")
)
ELEMENT_TYPES = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "bfloat16": TensorProto.BFLOAT16,
}
# Old enough for any release of the last years, new enough for ReduceLogSumExp's axes as an input.
OPSET = 18
IR_VERSION = 8


def _model(cell: Cell) -> bytes:
    element = ELEMENT_TYPES[cell.dtype]
    rank = len(cell.shape)
    if cell.op == "logsumexp":
        axes = [cell.axis] if cell.axis is not None else list(range(rank))
        node = helper.make_node(NODES[cell.op], ["x", "axes"], ["y"], keepdims=0)
        constants = [helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)]
        result_rank = rank - len(axes)
    elif cell.axis is None and rank > 1:
        raise Unsupported("normalises along one axis")
    else:
        node = helper.make_node(NODES[cell.op], ["x"], ["y"], axis=cell.axis)
        constants = []
        result_rank = rank
    graph = helper.make_graph(
        [node],
        cell.op,
        [helper.make_tensor_value_info("x", element, [None] * rank)],
        [helper.make_tensor_value_info("y", element, [None] * result_rank)],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    return model.SerializeToString()


def _namespace(cell: Cell, inputs: Inputs, out: np.ndarray | None) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads.count()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a type it lacks is reported by the exception already
    session = onnxruntime.InferenceSession(
        _model(cell), options, providers=["CPUExecutionProvider"]
    )
    names = {"session": session, "names": ["y"], "feed": inputs}
    if out is not None:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        bound = onnxruntime.OrtValue.ortvalue_from_numpy(out)
        binding.bind_ortvalue_output("y", bound)
        names |= {"binding": binding, "out": bound}
    return names


def _array(result: Any) -> np.ndarray:
    return result.numpy() if isinstance(result, onnxruntime.OrtValue) else np.asarray(result)


def load() -> Library:
    version = onnxruntime.__version__
    return Library("ONNX Runtime", version, SPELLINGS, _namespace, _array)
