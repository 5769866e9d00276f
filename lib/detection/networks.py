"""Networks in TensorFlow Lite's format, run by LiteRT on the CPU.

LiteRT is an optional dependency (requirements-video.txt), so it is imported when a network is loaded.
"""

import contextlib
import importlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lib.runtime.errors import UserError

Array = np.ndarray[Any, Any]


class Network:
    """A network of one input that gives some of its outputs; what only the others need is cut away and not computed."""

    def __init__(self, path: Path, outputs: Sequence[int], threads: int = 1) -> None:
        """Load `path`; `outputs` are positions in the list of the network's outputs.

        Raises:
            UserError: LiteRT is not installed, or the file is missing or no network.
        """
        interpreter, schema, flatbuffers = litert()
        try:
            content = _with_outputs(path.read_bytes(), outputs, schema, flatbuffers)
            with _silence():
                self._interpreter = interpreter.Interpreter(model_content=content, num_threads=threads)
                self._interpreter.allocate_tensors()
        except FileNotFoundError:
            raise UserError(f"{path} is missing: run `python -m stages.wild --prepare`, which fetches it") from None
        except (ValueError, IndexError, RuntimeError, AttributeError, TypeError, struct.error) as error:
            # LiteRT and its reader of files answer a damaged file with any of these
            raise UserError(f"{path} is no network that LiteRT reads: delete it and fetch it again") from error
        (given,) = self._interpreter.get_input_details()
        self.size = int(given["shape"][1])  # of the square picture that it takes, in pixels
        self._input = given["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, picture: Float[Array, "size size 3"]) -> list[Float[Array, "..."]]:
        """The outputs for one picture, without their leading axis of one."""
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep from standard error what LiteRT notes about itself; what is wrong it raises."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def litert() -> tuple[Any, Any, Any]:
    """LiteRT's interpreter, its description of the file format, and the library that reads it.

    Raises:
        UserError: it is not installed.
    """
    names = ("ai_edge_litert.interpreter", "ai_edge_litert.schema_py_generated", "flatbuffers")
    try:
        interpreter, schema, flatbuffers = map(importlib.import_module, names)
    except ImportError:
        raise UserError(
            "detecting keypoints needs LiteRT: install it with `pip install -r requirements-video.txt`"
        ) from None
    return interpreter, schema, flatbuffers


def _with_outputs(content: bytes, outputs: Sequence[int], schema: Any, flatbuffers: Any) -> bytes:
    """The network with these outputs alone, and only the operations they need.

    BlazePose's landmark networks spend half of their time on a mask of the person.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    graph.outputs = [graph.outputs[output] for output in outputs]
    needed = {int(tensor) for tensor in graph.outputs}
    operators = []
    for operator in reversed(graph.operators):  # a file lists them in the order in which they run
        if not needed.isdisjoint(int(tensor) for tensor in operator.outputs):
            needed.update(int(tensor) for tensor in operator.inputs)
            operators.append(operator)
    graph.operators = operators[::-1]
    model.signatureDefs = []  # they name outputs that are gone
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def sigmoid(logits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1 / (1 + exp(-logits)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=logits.dtype)
