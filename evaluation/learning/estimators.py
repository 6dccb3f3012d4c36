"""What scikit-learn provides: logistic regression, the area under a ROC curve, and stratified group folds.

Only this module imports it. It is an optional dependency for learning and evaluation (requirements-evaluation.txt);
a server that answers does not need it.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BuildError

STRENGTH = 1.0  # ridge penalty on standardised weights
MANY_GROUPS = 20_000  # groups above which random folds are balanced enough


def require_library() -> None:
    """Raise BuildError if scikit-learn is missing."""
    if find_spec("sklearn") is None:
        raise BuildError(
            "learning and evaluation need scikit-learn, which is missing: pip install -r requirements-evaluation.txt"
        )


def fit_logistic(
    values: NDArray[np.float64], labels: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> tuple[float, NDArray[np.float64]]:
    """Fit a logistic regression of `labels` on `values` (observations, features). Returns intercept and weights.

    `weights` are sample weights. Features are standardised for the ridge; the returned weights are for the features as
    given. Raises ValueError if all labels are the same.
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
    """Return the probability that a positive has the higher value, with ties counting half; 0.5 if either is empty."""
    if not len(positive) or not len(negative):
        return 0.5
    require_library()
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([True, False], [len(positive), len(negative)])
    return float(roc_auc_score(labels, np.concatenate([positive, negative])))


def deal_folds(groups: NDArray[np.int64], strata: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each entry, from 0: stratified, with no group in two folds.

    `groups` and `strata` have shape (entries,). Strata with fewer entries than folds are dealt at random. If there are
    fewer groups than folds, some folds are empty.
    """
    listed, numbers = np.unique(groups, return_inverse=True)
    most = int(np.unique(strata, return_counts=True)[1].max(initial=0))  # entries of the largest stratum
    if not folds <= min(len(listed), most) or len(listed) > MANY_GROUPS or folds < 2:
        return np.asarray(np.random.default_rng(seed).permutation(len(listed))[numbers] % max(1, folds), dtype=np.int64)
    require_library()
    from sklearn.model_selection import StratifiedGroupKFold

    dealt = np.zeros(len(groups), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about species with fewer observations than folds, as most have
        for fold, (_, held) in enumerate(splitter.split(np.zeros(len(groups)), strata, groups)):
            dealt[held] = fold
    return dealt
