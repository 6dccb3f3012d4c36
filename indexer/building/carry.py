"""A build keeps what the published snapshot had learned: scores stay calibrated, and the card says of which it was."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from retrieval.domain import Taxon
from retrieval.errors import UnknownTaxon
from retrieval.snapshots.learned_arrays import ASPECTS_FILE as ASPECTS
from retrieval.snapshots.learned_arrays import METRIC
from retrieval.snapshots.manifest import Manifest
from retrieval.snapshots.taxonomy import Taxonomy


def carry_calibration(root: Path, folder: Path, before: Manifest, taxa: Sequence[Taxon]) -> dict[str, Any]:
    """The calibration of the snapshot `before`, of the same model, for the new one in `folder`; its files are copied.

    Look-alikes are species by id, which another catalogue may have given to others: those whose name has changed
    are left out.
    """
    if not before.calibration:
        return {}
    old = root / "snapshots" / before.name
    for learned in (METRIC, ASPECTS):
        if (old / learned).is_file():
            shutil.copyfile(old / learned, folder / learned)
    names = {taxon.id: taxon.name for taxon in taxa}
    with closing(Taxonomy(old / "taxonomy.sqlite")) as taxonomy:
        lookalikes = [
            pair
            for pair in before.calibration.get("lookalikes", [])
            if all(same_name(taxonomy, int(taxon), names) for taxon in pair[:2])
        ]
    return {**before.calibration, "lookalikes": lookalikes}


def same_name(taxonomy: Taxonomy, taxon: int, names: Mapping[int, str]) -> bool:
    """Whether an id stands for the same name as before."""
    try:
        return taxonomy.taxon(taxon).name == names.get(taxon)
    except UnknownTaxon:
        return False
