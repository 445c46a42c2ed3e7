"""The estimator: boosted trees and small neural networks, averaged with fixed weights."""

import warnings

import lightgbm
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from protocol import CAP

# Candidates of the cross-validation; the shipped one is the best of them, see `train.py`.
CANDIDATES = {
    "trees": {"trees": 1.0},
    "networks": {"networks": 1.0},
    "trees 0.85, networks 0.15": {"trees": 0.85, "networks": 0.15},
    "trees 0.7, networks 0.3": {"trees": 0.7, "networks": 0.3},
    "trees 0.5, networks 0.5": {"trees": 0.5, "networks": 0.5},
}
BEYOND_CAP_WEIGHT = 0.5


class Members:
    """Fits every member once; any candidate is then a weighted mean of their predictions.

    Rows are float32, as the tensor will be. Rows far from failure all carry the label CAP; they count half, or the
    plateau would dominate the fit.
    """

    def __init__(self, seed, tree_bags=4, network_bags=6):
        self.seed, self.tree_bags, self.network_bags = seed, tree_bags, network_bags

    def fit(self, rows, rul):
        target = np.minimum(rul, CAP)
        weight = np.where(rul > CAP, BEYOND_CAP_WEIGHT, 1.0)
        wide = rows.astype(np.float64)
        # Rounded to float32, so that the graph subtracts the very same numbers: nearly equal ones give no rounding.
        self.center = wide.mean(0).astype(np.float32)
        self.scale = np.where(wide.std(0) > 0, wide.std(0), 1.0).astype(np.float32)
        z = (wide - self.center) / self.scale
        self.trees = [self._tree(rows, target, weight, bag) for bag in range(self.tree_bags)]
        self.networks = [self._network(z, target / CAP, weight, bag) for bag in range(self.network_bags)]
        return self

    def predictions(self, rows):
        """Member name -> unclipped prediction in cycles."""
        z = (rows.astype(np.float64) - self.center) / self.scale
        return {
            "trees": np.mean([tree.predict(rows) for tree in self.trees], axis=0),
            "networks": CAP * np.mean([network.predict(z) for network in self.networks], axis=0),
        }

    def _tree(self, rows, target, weight, bag):
        booster = lightgbm.LGBMRegressor(
            n_estimators=300, learning_rate=0.04, num_leaves=15, min_child_samples=100, reg_lambda=10.0,
            colsample_bytree=0.2, subsample=0.5, subsample_freq=1, random_state=1000 * self.seed + bag,
            deterministic=True, force_row_wise=True, n_jobs=1, verbose=-1)
        return booster.fit(rows, target, sample_weight=weight).booster_

    def _network(self, z, target, weight, bag):
        network = MLPRegressor(
            hidden_layer_sizes=(32, 16), alpha=0.1, batch_size=256, max_iter=20,
            random_state=1000 * self.seed + bag)
        with warnings.catch_warnings():
            # Stopping after twenty passes is the regularisation.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return network.fit(z, target, sample_weight=weight)


def combine(predictions, weights):
    """Weighted mean of member predictions, clipped to what the label can mean."""
    return np.clip(sum(weight * predictions[name] for name, weight in weights.items()), 0, CAP)
