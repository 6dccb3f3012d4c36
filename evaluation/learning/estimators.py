"""What scikit-learn has: logistic regression, the area under a ROC curve, and folds that keep groups whole.

The only place that loads it. It is an extra for learning and evaluating (requirements-evaluation.txt); a server that
answers needs none of it.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BuildError

STRENGTH = 1.0  # of the ridge on standardised weights, as if each had been seen once to be near 0
MANY = 20_000  # groups from which they are dealt by chance: so many balance the species by themselves


def require_library() -> None:
    """Raise BuildError, with a sentence, where scikit-learn is missing."""
    if find_spec("sklearn") is None:
        raise BuildError(
            "learning and evaluating need scikit-learn, which is missing: pip install -r requirements-evaluation.txt"
        )


def fit_logistic(
    values: NDArray[np.float64], labels: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Constant and weights of a logistic regression of `labels` on `values` (observations, features).

    `weights` say how much each observation counts. Features are standardised for the ridge, and the weights given back
    are for the features as they are. Raises ValueError where all labels are the same.
    """
    require_library()
    from sklearn.linear_model import LogisticRegression

    centre, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    weights = np.ones(len(labels)) if weights is None else weights * (len(labels) / weights.sum())
    model = LogisticRegression(C=STRENGTH, max_iter=2_000)
    model.fit((values - centre) / spread, labels, sample_weight=weights)
    slopes = model.coef_[0] / spread
    return float(model.intercept_[0] - slopes @ centre), np.asarray(slopes, dtype=np.float64)


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Chance that a positive has the higher value, ties counting half; 0.5 where there are none of one kind."""
    if not len(positive) or not len(negative):
        return 0.5
    require_library()
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([True, False], [len(positive), len(negative)])
    return float(roc_auc_score(labels, np.concatenate([positive, negative])))


def deal_folds(groups: NDArray[np.int64], strata: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold, from 0, of each entry: no group lies in two, and each fold has its part of every stratum.

    `groups` and `strata` (entries,). Strata with too few entries for
    that are dealt by chance; where there are fewer groups than folds, some folds stay empty.
    """
    listed, numbers = np.unique(groups, return_inverse=True)
    most = int(np.unique(strata, return_counts=True)[1].max(initial=0))  # entries of the largest stratum
    if not folds <= min(len(listed), most) or len(listed) > MANY or folds < 2:
        return np.asarray(np.random.default_rng(seed).permutation(len(listed))[numbers] % max(1, folds), dtype=np.int64)
    require_library()
    from sklearn.model_selection import StratifiedGroupKFold

    dealt = np.zeros(len(groups), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of species with fewer observations than folds: most have
        for fold, (_, held) in enumerate(splitter.split(np.zeros(len(groups)), strata, groups)):
            dealt[held] = fold
    return dealt
