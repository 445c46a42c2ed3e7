"""Shared by the exporters: tensors and manifests as the gateway reads them (docs/models.md)."""

import hashlib
import json
import math
import pathlib

import numpy as np
import onnx

MAX_OPSET = 17
IR_VERSION = 8


def wire(array):
    """A numpy array -> {dtype, dims, data}; NaN becomes null, which is how JSON can carry it."""
    array = np.asarray(array)
    flat = [None if math.isnan(v) else v for v in array.astype(float).ravel().tolist()]
    return {"dtype": str(array.dtype), "dims": list(array.shape), "data": flat}


def save_model(model, folder):
    """Checks the graph, writes folder/model.onnx and returns its SHA-256."""
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def save_json(value, path):
    """Stable text: two spaces, no NaN, newline at the end; long number lists stay on one line."""
    text = json.dumps(value, indent=2, allow_nan=False)
    pathlib.Path(path).write_text(fold_number_lists(text) + "\n", encoding="utf-8")


def fold_number_lists(text):
    """Joins lists that hold only numbers and null, which json.dumps spreads one a line."""
    lines, buffer = [], None
    for line in text.split("\n"):
        stripped = line.strip()
        if buffer is not None:
            if stripped.startswith("]"):
                lines.append(buffer[0] + ", ".join(item.rstrip(",") for item in buffer[1]) + stripped)
                buffer = None
            elif stripped[:1] in "-0123456789n":
                buffer[1].append(stripped)
            else:
                lines += [buffer[0], *buffer[2], line]
                buffer = None
            if buffer is not None:
                buffer[2].append(line)
        elif line.endswith("["):
            buffer = (line, [], [])
        else:
            lines.append(line)
    return "\n".join(lines)
