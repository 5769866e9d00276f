"""Loading networks: without LiteRT, and where it is installed a small network made here."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.detection.networks import Network, sigmoid
from lib.runtime.errors import UserError


def test_sigmoid_of_anything() -> None:
    np.testing.assert_allclose(sigmoid(np.array([0.0, np.log(3), -1e4, 1e4])), [0.5, 0.75, 0, 1], atol=1e-12)
    assert sigmoid(np.zeros(3, np.float32)).dtype == np.float32


def test_without_litert_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UserError, match=r"LiteRT: install it with `pip install -r requirements-video\.txt`"):
        Network(tmp_path / "a.tflite", (0,))


def test_a_missing_or_damaged_network_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(UserError, match=r"a\.tflite is missing: run `python -m stages\.wild --prepare`"):
        Network(tmp_path / "a.tflite", (0,))
    for content in (b"", b"no network at all", bytes(1000)):
        (tmp_path / "a.tflite").write_bytes(content)
        with pytest.raises(UserError, match=r"a\.tflite is no network that LiteRT reads"):
            Network(tmp_path / "a.tflite", (0,))


def network(path: Path, schema: Any, flatbuffers: Any) -> Path:
    """Three outputs of a picture of 2 x 2: its RELU, its negative, and the RELU of its negative."""
    tensors = []
    for name in ("picture", "relu", "negative", "both"):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.name = [1, 2, 2, 3], schema.TensorType.FLOAT32, 0, name
        tensors.append(tensor)
    codes = []
    for builtin in (schema.BuiltinOperator.RELU, schema.BuiltinOperator.NEG):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        codes.append(code)
    operators = []
    for code, given, result in ((0, 0, 1), (1, 0, 2), (0, 2, 3)):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = code, [given], [result]
        operators.append(operator)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1, 2, 3], operators
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_gives_the_outputs_that_are_asked_for_and_computes_no_others(tmp_path: Path) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    path = network(tmp_path / "small.tflite", schema, pytest.importorskip("flatbuffers"))
    picture = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
    whole = Network(path, (0, 1, 2))
    assert whole.size == 2
    for got, expected in zip(whole(picture), (picture.clip(0), -picture, (-picture).clip(0)), strict=True):
        np.testing.assert_allclose(got, expected)
    last, first = Network(path, (2, 0))(picture)
    np.testing.assert_allclose(last, (-picture).clip(0))
    np.testing.assert_allclose(first, picture.clip(0))
    small = Network(path, (0,))
    np.testing.assert_allclose(small(picture)[0], picture.clip(0))
    assert len(small._interpreter._get_ops_details()) < len(whole._interpreter._get_ops_details())
