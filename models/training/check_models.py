"""Evaluates the shipped turbofan model on the extracted test table: numbers must be those its report states."""

import argparse
import json
import pathlib
import sys

import numpy as np
import onnxruntime

from protocol import CAP, coverage_and_width, summary
from tables import Table

TOLERANCE = 0.001  # cycles of RMSE: the same graph on another machine


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=pathlib.Path, help="test_FD001.csv as written by millwright extract")
    parser.add_argument("truth", type=pathlib.Path, help="RUL_FD001.txt")
    parser.add_argument("--model", type=pathlib.Path, default=here.parent / "turbofan-rul" / "1.0.0")
    options = parser.parse_args()

    manifest = json.loads((options.model / "manifest.json").read_text(encoding="utf-8"))
    report = json.loads((options.model / "report.json").read_text(encoding="utf-8"))
    features = manifest["input"]["features"]
    table = Table(options.table, [feature["id"] for feature in features])
    rows = table.rows[table.last_rows()]
    for column, feature in enumerate(features):
        if feature["impute"] != "refuse":
            rows[np.isnan(rows[:, column]), column] = feature["impute"]
    session = onnxruntime.InferenceSession(str(options.model / "model.onnx"))
    predicted = session.run(None, {"features": rows})[0][:, 0]
    truth = np.minimum(np.loadtxt(options.truth), CAP)
    result = summary(predicted, truth)
    bins = [(np.inf if b["up_to"] is None else b["up_to"], b["above"]) for b in manifest["calibration"]["bins"]]
    result["coverage"], result["width"] = coverage_and_width(predicted, truth, bins)
    print(json.dumps(result))
    stated = report["shipped"]["test"]["capped"]["rmse"]
    if abs(result["rmse"] - stated) > TOLERANCE:
        sys.exit(f"RMSE {result['rmse']:.2f} is not what the report states, {stated:.2f}")


if __name__ == "__main__":
    main()
