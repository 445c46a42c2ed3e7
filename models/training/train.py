"""Trains, chooses, measures and packages the shipped models: `python3 models/training/train.py [--quick]`."""

import os

# One thread each: the fits run side by side in processes, and results do not depend on the number of cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import concurrent.futures
import pathlib
import subprocess

import numpy as np

import machine_baseline
import turbofan_package as package
from blend import CANDIDATES, Members, combine
from protocol import (CAP, CUTS_PER_ENGINE, FOLDS, coverage_and_width, cut_summary, grouped_folds, mondrian_bins,
                      random_cuts, summary, validated_coverage)
from tables import Table, sha256_of

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CONFIG = HERE / "turbofan.yaml"
AGE = "cycles"
NOT_USED = ("run_hours", "age_h")
SELECTION_SEED, CUT_SEED, VALIDATION_SEED = 0, 7, 3


def extract(name, data):
    """The feature table of one C-MAPSS file, written by the gateway's own command."""
    out = HERE / "tables" / f"{name}.csv"
    out.parent.mkdir(exist_ok=True)
    command = ["node", "bin/millwright.mjs", "extract", "--config", str(CONFIG), str(data / f"{name}.txt.gz"),
               "--out", str(out)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return out


def fit(job):
    rows, rul, seed, quick = job
    bags = {"tree_bags": 1, "network_bags": 2} if quick else {}
    return Members(seed, **bags).fit(rows, rul)


def fit_all(jobs, workers):
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        return list(pool.map(fit, jobs))


def filled(table, features):
    """Rows as the gateway fills the tensor."""
    rows = table.rows.copy()
    for column, feature in enumerate(features):
        value = package.undefined_value(feature)
        if value != "refuse":
            rows[np.isnan(rows[:, column]), column] = value
    if np.isnan(rows).any():
        raise SystemExit("a feature that may not be undefined is")
    return rows


def out_of_fold(rows, rul, engines, options):
    """Member predictions of every row by models that have not seen its engine."""
    folds = grouped_folds(engines, SELECTION_SEED)
    inside = [np.isin(engines, fold) for fold in folds]
    fitted = fit_all([(rows[~part], rul[~part], SELECTION_SEED, options.quick) for part in inside], options.workers)
    predictions = {name: np.empty(len(rows)) for name in ("trees", "networks")}
    for part, members in zip(inside, fitted):
        for name, values in members.predictions(rows[part]).items():
            predictions[name][part] = values
    return predictions


def mean_sd(results):
    return {key: {"mean": float(np.mean([r[key] for r in results])), "sd": float(np.std([r[key] for r in results]))}
            for key in results[0]}


def test_by_seed(train_rows, rul, test_rows, truth, weights, options):
    fitted = fit_all([(train_rows, rul, seed, options.quick) for seed in range(options.seeds)], options.workers)
    answers = [combine(members.predictions(test_rows), weights) for members in fitted]
    report = {"capped": mean_sd([summary(answer, np.minimum(truth, CAP)) for answer in answers]),
              "raw": mean_sd([summary(answer, truth) for answer in answers])}
    return fitted, answers, report


def main():
    options = arguments()
    train = Table(options.tables / "train_FD001.csv" if options.tables else extract("train_FD001", options.data))
    features = [name for name in train.features if name not in NOT_USED]
    train = Table(train.path, features)
    test = Table(options.tables / "test_FD001.csv" if options.tables else extract("test_FD001", options.data), features)
    rul = train.rul_to_end()
    rows, test_rows = filled(train, features), filled(test, features)[test.last_rows()]
    truth = np.loadtxt(options.data / "RUL_FD001.txt")
    no_age = [column for column, name in enumerate(features) if name != AGE]
    cuts = random_cuts(train.engine, rul, CUT_SEED)
    label = np.minimum(rul, CAP)

    held_out = {"with_age": out_of_fold(rows, rul, train.engine, options),
                "without_age": out_of_fold(rows[:, no_age], rul, train.engine, options)}
    scores = {name: {kind: cut_summary(combine(p, weights), label, cuts) for kind, p in held_out.items()}
              for name, weights in CANDIDATES.items()}
    chosen = min(scores, key=lambda name: scores[name]["with_age"]["rmse"])
    weights = CANDIDATES[chosen]
    print("chosen by cross-validation:", chosen, scores[chosen])

    predicted = combine(held_out["with_age"], weights)
    bins = mondrian_bins(predicted, label, cuts)
    fitted, answers, with_age = test_by_seed(rows, rul, test_rows, truth, weights, options)
    without_age = test_by_seed(rows[:, no_age], rul, test_rows[:, no_age], truth, weights, options)[2]
    covered, width = coverage_and_width(answers[0], np.minimum(truth, CAP), bins)
    members = fitted[0]
    limit = package.censored_from(bins)
    report = {
        "model": f"A weighted mean ({chosen}) of {len(members.trees)} boosted tree ensembles and "
                 f"{len(members.networks)} networks of 32 and 16 units",
        "protocol": f"{FOLDS} folds by engine, {CUTS_PER_ENGINE} random cuts of each held-out engine, truth capped "
                    f"at {CAP:.0f}",
        "seeds": options.seeds,
        "selection": {"chosen": chosen, "candidates": scores},
        "test": {"with_age": with_age, "without_age": without_age},
        "interval": {
            "validation": validated_coverage(predicted, label, train.engine, cuts, 400, VALIDATION_SEED),
            "test": {"coverage": covered, "width": width},
        },
        "censored_from": limit,
        "training": {"dataset": "C-MAPSS FD001 train", "engines": len(cuts), "rows": len(rows),
                     "table_sha256": sha256_of(train.path), "script": "models/training/train.py",
                     "config": "models/training/turbofan.yaml"},
    }
    folder = options.out / package.NAME / package.VERSION
    sha256, difference, session = package.write_graph(members, weights, rows, folder)
    report["parity_max_difference"] = difference
    # What the committed graph itself answers: the figure a gateway that serves it must reproduce.
    served = session.run(None, {"features": test_rows})[0][:, 0]
    report["shipped"] = {"test": {"capped": summary(served, np.minimum(truth, CAP)), "raw": summary(served, truth)}}
    golden = package.golden_cases(session, rows, np.random.default_rng(VALIDATION_SEED))
    description = package.contract(REPOSITORY, CONFIG, features)
    content = package.manifest(sha256=sha256, description=description, rows=rows, bins=bins, golden=golden,
                               limit=limit, report=report, engines=len(cuts))
    package.save(folder, content, report, bins)
    machine_baseline.main(options.out)
    print("test, with age:", with_age)
    print("test, without age:", without_age)
    print("interval:", report["interval"], "parity:", difference)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few members and two seeds: checks the path, not for use")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="fits at the same time")
    parser.add_argument("--data", type=pathlib.Path, help="folder with the C-MAPSS files",
                        default=pathlib.Path(os.environ.get("MILLWRIGHT_DATA", REPOSITORY.parent / "shared/data")) / "cmapss")
    parser.add_argument("--tables", type=pathlib.Path, help="tables extracted before; default: extract them now")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent, help="models directory to write to")
    options = parser.parse_args()
    if options.quick:
        options.seeds = 2
        if options.out == HERE.parent:
            options.out = HERE / "out"
    return options


if __name__ == "__main__":
    main()
