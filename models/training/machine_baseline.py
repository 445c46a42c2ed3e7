"""Writes models/machine-baseline: the Mahalanobis detector whose numbers each gateway learns for each machine.

No training here: center, scale and precision are inputs of the graph. Rows of many machines share a batch.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from graph_tools import IR_VERSION, MAX_OPSET, save_json, save_model, wire

NAME, VERSION = "machine-baseline", "1.0.0"


def build():
    """x, center, scale [N,F] float64 and precision [N,F,F] float32 -> score [N], z [N,F], contribution [N,F]."""
    double, single = TensorProto.DOUBLE, TensorProto.FLOAT
    node = helper.make_node
    nodes = [
        # In float64: a pressure of 101325 Pa that varies by 1 Pa has no digits left in float32.
        node("Sub", ["x", "center"], ["distance"]),
        node("Div", ["distance", "scale"], ["z_wide"]),
        node("Cast", ["z_wide"], ["z"], to=single),
        node("Unsqueeze", ["z", "last_axis"], ["z_column"]),
        node("MatMul", ["precision", "z_column"], ["pulled_column"]),
        node("Squeeze", ["pulled_column", "last_axis"], ["pulled"]),
        node("Mul", ["z", "pulled"], ["contribution"]),
        node("ReduceSum", ["contribution", "feature_axis"], ["score"], keepdims=0),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        NAME,
        [
            value("x", double, ["N", "F"]),
            value("center", double, ["N", "F"]),
            value("scale", double, ["N", "F"]),
            value("precision", single, ["N", "F", "F"]),
        ],
        [
            value("score", single, ["N"]),
            value("z", single, ["N", "F"]),
            value("contribution", single, ["N", "F"]),
        ],
        [
            helper.make_tensor("last_axis", TensorProto.INT64, [1], [2]),
            helper.make_tensor("feature_axis", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", MAX_OPSET)])
    model.ir_version = IR_VERSION
    model.producer_name = "millwright"
    helper.set_model_props(model, {"pdm.name": NAME, "pdm.version": VERSION, "pdm.task": "anomaly"})
    return model


def golden_case(rng, rows, features):
    """Random but realistic inputs, and the outputs computed by numpy in float64: the graph has to agree."""
    mixing = rng.normal(size=(rows, features, features))
    precision = np.linalg.inv(mixing @ mixing.transpose(0, 2, 1) / features + 0.1 * np.eye(features))
    precision = ((precision + precision.transpose(0, 2, 1)) / 2).astype(np.float32)
    center = rng.normal(100.0, 1000.0, size=(rows, features))
    scale = rng.uniform(0.01, 5.0, size=(rows, features))
    x = center + scale * rng.normal(size=(rows, features))
    z = (x - center) / scale
    contribution = z * np.einsum("nij,nj->ni", precision.astype(float), z)
    inputs = {"x": x, "center": center, "scale": scale, "precision": precision}
    outputs = {"score": contribution.sum(1), "z": z, "contribution": contribution}
    return inputs, {name: value.astype(np.float32) for name, value in outputs.items()}


def main(models_dir):
    folder = pathlib.Path(models_dir) / NAME / VERSION
    model = build()
    sha256 = save_model(model, folder)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rng = np.random.default_rng(20240501)
    golden = []
    for rows, features in [(1, 1), (1, 4), (3, 4), (2, 8), (5, 3)]:
        inputs, outputs = golden_case(rng, rows, features)
        for name, got in zip(["score", "z", "contribution"], session.run(None, inputs)):
            np.testing.assert_allclose(got, outputs[name], rtol=1e-5, atol=1e-4)
        golden.append(
            {
                "inputs": {name: wire(value) for name, value in inputs.items()},
                "outputs": {name: wire(value) for name, value in outputs.items()},
                "atol": 1e-3,
            }
        )
    manifest = {
        "schema": 1,
        "name": NAME,
        "version": VERSION,
        "task": "anomaly",
        "sha256": sha256,
        "license": "Apache-2.0",
        "author": "Millwright",
        "framework": f"onnx {onnx.__version__}",
        "runtime": {"opset": MAX_OPSET, "ir": IR_VERSION},
        "parameters": ["center", "scale", "precision"],
        "golden": golden,
    }
    save_json(manifest, folder / "manifest.json")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1])
