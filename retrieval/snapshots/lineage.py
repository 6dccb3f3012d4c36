"""How snapshots descend from one another, and what must not be lost or restored when one is published.

HISTORY.jsonl records for each snapshot from which one it was made, and how: built from the catalogue while that was
published, extended from it, or calibrated. Between building and publishing a snapshot, others may have been
published, with photos added or observations removed, which publishing would silently undo.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import BuildError
from retrieval.search.arrays import load_array
from retrieval.snapshots.card import write_card
from retrieval.snapshots.history import CALIBRATED, log_built, read_history
from retrieval.snapshots.learned_arrays import ASPECTS_FILE, LEARNED, METRIC, read_sums, read_typical, write_typical
from retrieval.snapshots.manifest import SHARED, STABLE, Manifest, current_or_none, read_manifest, seal_file
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.species_arrays import (
    PROTOTYPES,
    make_species_arrays,
    read_species_arrays,
    write_learned_prototypes,
)
from retrieval.snapshots.staging import settle, staged
from retrieval.snapshots.taxonomy import Taxonomy
from retrieval.snapshots.withdrawals import read_withdrawals


class Lineage:
    """The descent of snapshots according to the history."""

    def __init__(self, events: list[dict[str, str]]) -> None:
        self._parents: dict[str, list[tuple[str, str]]] = {}  # (parent, change), the latest last
        self._order: dict[str, int] = {}  # when each was last built
        self.published = {event["snapshot"] for event in events if event["event"] == "published"}
        for place, event in enumerate(events):
            if event["event"] == "built":
                self._order[event["snapshot"]] = place
                if event.get("parent"):
                    self._parents.setdefault(event["snapshot"], []).append((event["parent"], event.get("change", "")))

    def ancestors(self, name: str, *changes: str) -> set[str]:
        """Return a snapshot and its ancestors, by the given changes only, if any are given."""
        found, left = {name}, [name]
        while left:
            for parent, change in self._parents.get(left.pop(), ()):
                if parent not in found and (not changes or change in changes):
                    found.add(parent)
                    left.append(parent)
        return found

    def nearest_common(self, one: str, other: str) -> str | None:
        """Return the youngest common ancestor of two snapshots, which may be one of them."""
        common = self.ancestors(one) & self.ancestors(other)
        return max(common, key=lambda name: (self._order.get(name, -1), name), default=None)


def carry_over(root: Path, chosen: str, line: str = STABLE) -> str:
    """Return the snapshot to publish as a line so that nothing that line published since `chosen` was made is lost.

    For a calibrated snapshot, its calibration is applied to the current references in a new snapshot.
    Otherwise raises BuildError if references were added or removed since, except for an uncalibrated snapshot that
    has been published before: that is an intended return.
    """
    current, lineage = current_or_none(root, line), Lineage(read_history(root, line))
    if current is None or current in lineage.ancestors(chosen):
        return chosen
    taught_by = lineage.ancestors(chosen, CALIBRATED)
    base = lineage.nearest_common(chosen, current)
    if base is None:
        return chosen
    if len(taught_by) > 1 and taught_by & lineage.ancestors(current):
        return put_calibration(root, chosen, current)
    if chosen not in lineage.published or len(taught_by) > 1:
        refuse_losses(root, chosen, current, base)
    return chosen


def put_calibration(root: Path, calibrated: str, onto: str) -> str:
    """Write a copy of the snapshot `onto` with the calibration of another one; returns its name."""
    teacher, manifest = read_manifest(root, calibrated), read_manifest(root, onto)
    if teacher.model != manifest.model:
        raise BuildError(
            f"{calibrated} was calibrated for another model than that of {onto}, which has been published since:"
            " calibrate that one"
        )
    with closing(Taxonomy(root / "snapshots" / onto / "taxonomy.sqlite")) as taxonomy:
        carry = partial(carry_calibration, root, before=teacher, names=taxonomy.names())
        return write_calibrated_copy(root, manifest, teacher.voting, carry)


def carry_calibration(root: Path, folder: Path, before: Manifest, names: Mapping[int, str]) -> dict[str, Any]:
    """The calibration of the snapshot `before`, of the same model, for the new one in `folder`; its files are copied.

    Look-alikes, and what is typical of a species, are by id, which another catalogue may have given to others: species
    whose name is another among the `names` of the new one, or is not there, are left out.
    """
    if not before.calibration:
        return {}
    old = root / "snapshots" / before.name
    for learned in (METRIC, ASPECTS_FILE):
        if (old / learned).is_file():
            shutil.copyfile(old / learned, folder / learned)
    with closing(Taxonomy(old / "taxonomy.sqlite")) as taxonomy:
        same = {taxon for taxon, name in taxonomy.names().items() if names.get(taxon) == name}
    lookalikes = [pair for pair in before.calibration.get("lookalikes", []) if {int(pair[0]), int(pair[1])} <= same]
    species = load_array(old / "species.npy")
    species = species[np.isin(species, np.fromiter(same, dtype=np.int64))]
    write_typical(folder, species, read_typical(old, species))
    return {**before.calibration, "lookalikes": lookalikes}


def write_calibrated_copy(
    root: Path, manifest: Manifest, voting: Mapping[str, float], learn: Callable[[Path], Mapping[str, Any]]
) -> str:
    """Write a snapshot that differs from another only in its calibration; returns its name. Needs the lock.

    `learn` writes the files of `LEARNED` to a folder, and returns the calibration for the manifest.
    """
    parent = manifest.name
    with staged(root) as staging:
        folder = staging / "snapshot"
        (folder / "floras").mkdir(parents=True)  # which a snapshot without floras has too
        own = [
            seal.path
            for seal in manifest.files
            if not seal.path.startswith(SHARED) and seal.path not in (*LEARNED, PROTOTYPES)
        ]
        for path in own:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / "snapshots" / parent / path, folder / path)
        calibration = dict(learn(folder))
        write_own_prototypes(folder, calibration)
        shared = [seal for seal in manifest.files if seal.path.startswith(SHARED)]
        sealed = [seal_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
        written = replace(manifest, files=(*shared, *sealed), voting=dict(voting), calibration=calibration)
        (folder / "manifest.json").write_text(written.text(), encoding="utf-8")
        (folder / "card.md").write_text(write_card(written), encoding="utf-8")
        settle(folder, root / "snapshots" / written.name)
    open_snapshot(root, written.name).close()
    log_built(root, written.name, parent, CALIBRATED)
    return written.name


def write_own_prototypes(folder: Path, calibration: Mapping[str, Any]) -> None:
    """Write the prototypes of the species in a snapshot's folder according to its new calibration."""
    sums, species = read_sums(folder), load_array(folder / "species.npy")
    if sums is None:
        return  # a snapshot from before sums were kept: its readers make them
    with closing(Taxonomy(folder / "taxonomy.sqlite")) as taxonomy:
        arrays = read_species_arrays(folder, species) or make_species_arrays(species, taxonomy, sums)
    write_learned_prototypes(folder, arrays.tree, sums, calibration)


def refuse_losses(root: Path, chosen: str, current: str, base: str) -> None:
    """Raise BuildError if `chosen` lacks references added since `base`, or contains ones removed since."""
    opened = [Snapshot(root, read_manifest(root, name)) for name in (chosen, current, base)]
    try:
        new, now, before = opened
        withdrawn = read_withdrawals(root)
        added = only_in(now, before) - withdrawn
        lost = sum(not holds(new, photo) for photo in added if not holds(before, photo))
        gone = only_in(before, now) - withdrawn
        back = sum(holds(new, photo) for photo in gone if not holds(now, photo))
    finally:
        for snapshot in opened:
            snapshot.close()
    if lost or back:
        raise BuildError(
            f"since {chosen} was made {current} was published: {lost} of its references would be lost, and {back} that"
            f" were taken out would come back; build anew, or say --as-it-is"
        )


def only_in(one: Snapshot, other: Snapshot) -> set[str]:
    """Return the photos of active references of one snapshot that are not the same in the other."""
    theirs = dict(zip(other.manifest.segments, other.segments, strict=True))
    found: set[str] = set()
    for name, segment in zip(one.manifest.segments, one.segments, strict=True):
        twin = theirs.get(name)
        if twin is not None and twin.withdrawn is None:
            continue
        for reference in segment.all_references():
            row = reference.row - segment.base
            mine = segment.withdrawn is None or not segment.withdrawn[row]
            if mine and (twin is None or (twin.withdrawn is not None and twin.withdrawn[row])):
                found.add(reference.photo)
    return found


def holds(snapshot: Snapshot, photo: str) -> bool:
    """Return whether a photo is an active reference."""
    return any(segment.reference_of_photo(photo) is not None for segment in snapshot.segments)
