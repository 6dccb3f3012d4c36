"""Several models as one: views are decoded once, each member sees them by its own preprocessing, a head joins them.

Without a fitted head each member gives an equal share of the 256 numbers: its leading ones. Heads sort their directions
by how much they tell apart, so the leading numbers hold most, and no photo is needed to choose them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from retrieval.errors import ModelError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import DIM, Embedder, View
from retrieval.models.head import TEMPERATURE, Head
from retrieval.models.network import Backbone, Features, Identity

RECIPE = "leading 1"
"""Names the head without photos: raised whenever the same members give other embeddings."""


class Ensemble(Backbone):
    """Members as one network: views in, the members' embeddings side by side out, (views, 256 x members)."""

    def __init__(self, members: Sequence[Embedder], preprocessing: Preprocessing | None = None) -> None:
        """`preprocessing` is that of a card, which names a fitted head. Views have the size of the largest member's."""
        self.members = tuple(members)
        names = [member.model for member in self.members]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ModelError(f"an ensemble needs two or more different models, not {', '.join(names)}")
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        handles = "+".join(str(member.card.get("handle", member.model)) for member in self.members)
        self.identity = Identity("+".join(name.partition("@")[0] for name in names), f"ensemble:{handles}", digest)
        side = max(member.short_side for member in self.members)
        self.preprocessing = replace(preprocessing or Preprocessing(side, side), resize=side, crop=side)
        self.width = DIM * len(self.members)

    @property
    def runtime(self) -> str:
        return ", ".join(str(member.card["runtime"]) for member in self.members)

    @property
    def parts(self) -> list[Mapping[str, Any]]:
        return [member.card for member in self.members]

    def features(self, views: Sequence[View]) -> Features:
        """Return the members' embeddings side by side, in the order of the views."""
        return np.concatenate([member.embed(views) for member in self.members], axis=1)


def make_leading_head(members: int) -> Head:
    """Make the head that keeps of each member an equal share of 256 numbers, its leading ones."""
    columns = np.concatenate(
        [member * DIM + np.arange(len(share)) for member, share in enumerate(np.array_split(np.arange(DIM), members))]
    )
    matrix = np.zeros((members * DIM, DIM), dtype=np.float32)
    matrix[columns, np.arange(DIM)] = 1.0
    facts = {"kind": "leading", "recipe": RECIPE, "temperature": TEMPERATURE}
    return Head(np.zeros(members * DIM, dtype=np.float32), matrix, facts)
