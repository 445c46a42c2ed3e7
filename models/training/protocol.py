"""How a remaining-useful-life model is judged: truncation, scores, intervals. Engines are the unit, never rows."""

import numpy as np

CAP = 125.0
FOLDS = 5
CUTS_PER_ENGINE = 20
MIN_HISTORY, MIN_LEFT = 30, 5
COVERAGE = 0.9
BIN_EDGES = (30.0, 80.0)


def grouped_folds(engines, seed):
    """Five disjoint sets of engines."""
    return np.array_split(np.random.default_rng(seed).permutation(np.unique(engines)), FOLDS)


def random_cuts(engines, rul, seed, cuts=CUTS_PER_ENGINE):
    """Row indices [engines, cuts]: each row is where the history of its engine might have been cut off."""
    rng = np.random.default_rng(seed)
    chosen = []
    for engine in np.unique(engines):
        rows = np.flatnonzero(engines == engine)
        allowed = rows[MIN_HISTORY - 1 : len(rows) - MIN_LEFT]
        chosen.append(rng.choice(allowed, cuts))
    return np.array(chosen)


def rmse(error):
    return float(np.sqrt(np.mean(np.square(error))))


def nasa_score(error):
    """Sum over engines; error = predicted - true, late answers cost more (PHM 2008 data challenge)."""
    return float(np.where(error < 0, np.exp(-error / 13) - 1, np.exp(error / 10) - 1).sum())


def summary(predicted, truth):
    error = np.asarray(predicted) - np.asarray(truth)
    return {"rmse": rmse(error), "mae": float(np.abs(error).mean()), "nasa_score": nasa_score(error),
            "bias": float(error.mean())}


def cut_summary(predicted, truth, cuts):
    """RMSE over all cuts; the NASA score of one cut an engine, averaged over the cuts."""
    error = (predicted - truth)[cuts]
    return {"rmse": rmse(error), "nasa_score": nasa_score(error) / cuts.shape[1]}


def engine_quantile(residuals, engines, alpha):
    """Quantile at (1 - alpha)(1 + 1/K) of residuals of K engines, every engine with the same weight.

    Hierarchical conformal prediction (Lee, Barber, Willett: Distribution-free inference with hierarchical data,
    2023): covers a random row of a new engine with probability >= 1 - alpha. The largest residual where K is too
    small for the level.
    """
    order = np.argsort(residuals)
    _, position, rows_of = np.unique(engines, return_inverse=True, return_counts=True)
    count = len(rows_of)
    mass = np.cumsum(1.0 / (count * rows_of[position[order]]))
    at = np.searchsorted(mass, min(1.0, (1 - alpha) * (1 + 1 / count)) - 1e-12)
    return float(residuals[order][min(at, len(order) - 1)])


def mondrian_bins(predicted, truth, cuts, min_engines=10):
    """[(upper end of the predicted value, radius)]: residual quantiles by bin; engines are the rows of `cuts`."""
    engine = np.repeat(np.arange(len(cuts)), cuts.shape[1])
    rows = cuts.ravel()
    residual = np.abs(predicted[rows] - truth[rows])
    which = np.digitize(predicted[rows], BIN_EDGES, right=True)
    whole = engine_quantile(residual, engine, 1 - COVERAGE)
    bins = []
    for index, edge in enumerate([*BIN_EDGES, np.inf]):
        inside = which == index
        enough = len(np.unique(engine[inside])) >= min_engines
        radius = engine_quantile(residual[inside], engine[inside], 1 - COVERAGE) if enough else whole
        bins.append((edge, radius))
    return bins


def interval(predicted, bins):
    """[low, high] per prediction, clipped to [0, CAP]."""
    radius = np.array([bins[b][1] for b in np.digitize(predicted, BIN_EDGES, right=True)])
    return np.clip(predicted - radius, 0, CAP), np.clip(predicted + radius, 0, CAP)


def coverage_and_width(predicted, truth, bins):
    low, high = interval(predicted, bins)
    return float(np.mean((truth >= low) & (truth <= high))), float(np.mean(high - low))


def validated_coverage(predicted, truth, engines, cuts, repeats, seed):
    """Calibrates on one random half of the engines and covers the other half, many times."""
    rng = np.random.default_rng(seed)
    count = cuts.shape[0]
    results = []
    for _ in range(repeats):
        order = rng.permutation(count)
        calibration, validation = cuts[order[: count // 2]], cuts[order[count // 2 :]]
        bins = mondrian_bins(predicted, truth, calibration)
        rows = validation[np.arange(len(validation)), rng.integers(0, cuts.shape[1], len(validation))]
        results.append(coverage_and_width(predicted[rows], truth[rows], bins))
    covered, width = np.array(results).T
    return {"coverage_mean": float(covered.mean()), "coverage_sd": float(covered.std()),
            "width_mean": float(width.mean()), "repeats": repeats, "engines_calibration": count // 2,
            "engines_validation": count - count // 2}
