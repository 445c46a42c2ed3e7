"""What was learned and measured -> models/turbofan-rul/<version>: graph, manifest, report, card."""

import json
import subprocess

import lightgbm
import numpy as np
import onnxruntime
import sklearn

import export_blend
from blend import combine
from graph_tools import IR_VERSION, MAX_OPSET, save_json, save_model, wire
from protocol import CAP, COVERAGE

NAME, VERSION = "turbofan-rul", "1.0.0"
PARITY = 1e-3
GOLDEN_ROWS = 8


def contract(repository, config, features):
    """The gateway's own description of the features, in tensor order, and their hash."""
    command = ["node", "models/training/describe-contract.mjs", str(config), "turbofan", *features]
    answer = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def undefined_value(feature_id):
    """A first window has no spread and no slope yet: both count as 0. Anything else undefined refuses a result."""
    return 0.0 if ".std." in feature_id or ".slope." in feature_id else "refuse"


def write_graph(members, weights, rows, folder):
    """Returns (sha256, largest difference to the estimator on `rows`, session)."""
    model = export_blend.build(members, weights, NAME, VERSION)
    sha256 = save_model(model, folder)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    answered = session.run(None, {"features": rows})[0][:, 0]
    difference = float(np.abs(answered - combine(members.predictions(rows), weights)).max())
    if difference > PARITY:
        raise SystemExit(f"the graph differs from the estimator by {difference}")
    return sha256, difference, session


def golden_cases(session, rows, generator):
    chosen = rows[np.sort(generator.choice(len(rows), GOLDEN_ROWS, replace=False))]
    return [
        {"inputs": {"features": wire(row[None, :])},
         "outputs": {"rul": wire(session.run(None, {"features": row[None, :]})[0])}, "atol": PARITY}
        for row in chosen
    ]


def censored_from(bins):
    """From here on the interval reaches the horizon, and the answer is a lower bound rather than an estimate."""
    return float(np.ceil(CAP - bins[-1][1]))


def manifest(*, sha256, description, rows, bins, golden, limit, report, engines):
    features = [
        {"id": f["id"], "unit": f["unit"], "formula_version": f["formulaVersion"], "params": f["params"],
         "impute": undefined_value(f["id"]), "min": float(column.min()), "max": float(column.max())}
        for f, column in zip(description["features"], rows.T)
    ]
    window = {"type": "tumbling", "size_ms": description["window"]["sizeMs"], "hop_ms": description["window"]["hopMs"]}
    return {
        "schema": 1, "name": NAME, "version": VERSION, "task": "rul", "sha256": sha256,
        "license": "Apache-2.0", "author": "Millwright",
        "framework": f"lightgbm {lightgbm.__version__}, scikit-learn {sklearn.__version__}",
        "runtime": {"opset": MAX_OPSET, "ml_opset": export_blend.ML_OPSET, "ir": IR_VERSION},
        "machine_types": ["turbofan"],
        "failure_mode": "high-pressure compressor degradation",
        "input": {"name": "features", "dtype": "float32", "shape": ["N", len(features)],
                  "feature_config_hash": description["hash"], "window": window, "min_coverage": 0.5,
                  "features": features},
        "preprocessing": {"in_graph": True},
        "outputs": [{"name": "rul", "meaning": "rul_point", "unit": "cycles", "clip": [0, CAP],
                     "censored_from": limit}],
        "calibration": {"method": "mondrian_split_conformal", "coverage": COVERAGE, "unit": "engine",
                        "n_units": engines,
                        "bins": [{"up_to": None if np.isinf(edge) else edge, "below": radius, "above": radius}
                                 for edge, radius in bins]},
        "training": report["training"],
        "metrics": {"dataset": "C-MAPSS FD001", "protocol": report["protocol"], "test": report["test"]["with_age"],
                    "interval": report["interval"]},
        "golden": golden,
    }


def write_card(folder, report, bins):
    """CARD.md: intended use, numbers, limits."""
    def line(name, entry):
        capped, raw = entry["capped"], entry["raw"]
        cells = [f"{e[k]['mean']:.2f} ± {e[k]['sd']:.2f}" for e in (capped, raw) for k in ("rmse", "nasa_score")]
        return f"| {name} | " + " | ".join(cells) + " |"

    test, interval = report["test"], report["interval"]
    validation = interval["validation"]
    radii = ", ".join(f"± {radius:.1f} {'above 80' if np.isinf(edge) else f'up to {edge:.0f}'}" for edge, radius in bins)
    candidates = "\n".join(
        f"| {name} | {entry['with_age']['rmse']:.2f} / {entry['with_age']['nasa_score']:.0f} "
        f"| {entry['without_age']['rmse']:.2f} / {entry['without_age']['nasa_score']:.0f} |"
        for name, entry in report["selection"]["candidates"].items())
    text = f"""# {NAME} {VERSION}

Remaining useful life of a turbofan engine in flight cycles, from one row of 14 sensors a cycle.

## Intended use
Engines that report like those of NASA's C-MAPSS simulation, subset FD001: one operating condition, one fault (high-pressure compressor). It shows the whole path from recording to a served model, and is a starting point for retraining on your own fleet.

**Not for** real engines without retraining, other operating conditions, other faults, or machines whose cycle counter was reset: age is an input and carries the life distribution of this fleet.

## How it works
{report["model"]} in one ONNX graph. Inputs are the features `proc.trend` of 14 sensors and `cycles` of `usage`, computed by the gateway's own code both for training (`millwright extract`) and for serving; the manifest's hash holds the two together. Labels are cycles to the end of each training engine, at most {CAP:.0f}.

## Measured
FD001 test engines, one prediction each at their last cycle, {report["seeds"]} seeds, mean ± standard deviation. Truth capped at {CAP:.0f} like the label, and raw. The best constant answer has RMSE 40.1 (capped).

| | RMSE, capped | NASA score, capped | RMSE, raw | NASA score, raw |
|---|---|---|---|---|
{line("with age (shipped)", test["with_age"])}
{line("without age", test["without_age"])}

The model was chosen by cross-validation over training engines alone ({report["protocol"]}); RMSE / NASA score there:

| candidate | with age | without age |
|---|---|---|
{candidates}

## Interval
{100 * COVERAGE:.0f} % Mondrian conformal: {radii} cycles by predicted value. Calibrated on one half of the training engines and checked on the other, {validation["repeats"]} times: covered {100 * validation["coverage_mean"]:.1f} % (sd {100 * validation["coverage_sd"]:.1f}), mean width {validation["width_mean"]:.1f}. On the test engines, truth capped: {100 * interval["test"]["coverage"]:.0f} %, width {interval["test"]["width"]:.1f}.

The shipped radii rest on cross-validated residuals of all {report["training"]["engines"]} engines; the model that serves was fitted to all of them, so the guarantee is approximate, as with CV+.

## Limits
Predictions near {CAP:.0f} mean "not yet degrading": from {report["censored_from"]:.0f} on, where the interval reaches {CAP:.0f}, they are reported as censored: a lower bound. The first ten cycles of an engine set its own reference; an engine first seen when worn gets too long a life. Trained on simulated data.

## Data
C-MAPSS FD001 (A. Saxena, K. Goebel, D. Simon, N. Eklund, PHM 2008), NASA Prognostics Center of Excellence; not part of this repository. SHA-256 of the training table: `{report["training"]["table_sha256"]}`.
"""
    (folder / "CARD.md").write_text(text, encoding="utf-8")


def save(folder, content, report, bins):
    save_json(content, folder / "manifest.json")
    save_json(report, folder / "report.json")
    write_card(folder, report, bins)
