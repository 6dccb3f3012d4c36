"""From observation to reference: approved observations can be found at once, and are removed when they must be."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from database.accounts.people import change_person, person_by_login
from database.collection.photos import OWN, references
from database.field.models import FieldObservation
from database.models import Dataset, Observation
from database.taxonomy.taxa import TaxonEntry, TaxonRegister
from fungarium.cli import main
from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.snapshots.cells import cell_of
from retrieval.snapshots.manifest import read_current, read_manifest
from retrieval.snapshots.observation_context import ObservationContext
from retrieval.snapshots.snapshot import open_snapshot
from tests.circle import PAGE, Installation, installation
from tests.snapshots import EMETICA, MUSCARIA, draw_photo

__all__ = ["installation"]

SPOT = {"decimalLatitude": "55.676098", "decimalLongitude": "12.568337"}
FRESH = draw_photo(EMETICA, 70)


def adopt(installation: Installation) -> str:
    """Run the command; gives the published snapshot's name."""
    assert main(["observations", "adopt"]) == 0
    return read_current(installation.settings.flora_indexes)


def digest(body: dict[str, Any], number: int = 0) -> str:
    sha256: str = body["photos"][number]["sha256"]
    return sha256


def own_references(installation: Installation) -> set[str]:
    snapshot = open_snapshot(installation.settings.flora_indexes)
    try:
        return {
            one.photo
            for segment in snapshot.segments
            for one in segment.references_of_dataset(OWN)
            if segment.reference_of_photo(one.photo) is not None
        }
    finally:
        snapshot.close()


def test_an_approved_observation_is_found_by_the_running_server_at_once(installation: Installation) -> None:
    assert installation.identify(FRESH)["snapshot"]
    body = installation.approved([FRESH, draw_photo(EMETICA, 71)], **SPOT)
    segments = read_manifest(
        installation.settings.flora_indexes, read_current(installation.settings.flora_indexes)
    ).segments

    adopt(installation)

    shown = installation.evidence(FRESH)
    said = shown[digest(body)]
    assert said["observation"] == f"{OWN}:{body['id']}"  # both photos are one observation: one witness
    assert (said["author"], said["licence"]) == ("Olga Ohm", "CC-BY-4.0")
    assert said["source"] == f"{PAGE}/api/v1/observations/{body['id']}"
    picture = installation.client().get(f"/api/v1/photos/{digest(body)}?size=160")
    assert Image.open(io.BytesIO(picture.get_data())).format == "JPEG"
    manifest = read_manifest(installation.settings.flora_indexes, read_current(installation.settings.flora_indexes))
    assert manifest.segments[:-1] == segments  # nothing old was rewritten
    assert own_references(installation) == {photo["sha256"] for photo in body["photos"]}


def test_adopting_twice_changes_nothing_and_a_later_build_agrees(installation: Installation) -> None:
    installation.approved([FRESH], **SPOT)
    first = adopt(installation)
    segments = read_manifest(installation.settings.flora_indexes, first).segments

    assert adopt(installation) == first
    assert main(["index", "build"]) == 0
    assert main(["index", "publish"]) == 0

    built = read_current(installation.settings.flora_indexes)
    assert read_manifest(installation.settings.flora_indexes, built).segments == segments
    assert adopt(installation) == built


def test_a_build_takes_approved_observations_in_by_itself(installation: Installation) -> None:
    body = installation.approved([FRESH])

    for command in ("embed", "build", "publish"):
        assert main(["index", command]) == 0

    assert digest(body) in installation.evidence(FRESH)


@pytest.mark.parametrize("licence", ["all-rights-reserved", "CC-BY-NC-4.0", ""])
def test_only_an_allowed_licence_makes_a_reference(
    installation: Installation, licence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installation.approved([FRESH], licence=licence)

    adopt(installation)

    assert own_references(installation) == set()
    assert "left out, licence-" in capsys.readouterr().out


def test_what_is_not_approved_is_no_reference(installation: Installation) -> None:
    installation.record([FRESH], scientificName="Russula emetica", certainty="certain")

    adopt(installation)

    assert own_references(installation) == set()


def test_what_is_known_to_genus_only_is_no_reference(installation: Installation) -> None:
    installation.approved([FRESH], "Russula")

    adopt(installation)

    assert own_references(installation) == set()


def reverse(installation: Installation, body: dict[str, Any]) -> None:
    path = f"/api/v1/observations/{body['id']}/approval"
    assert installation.client().delete(path, headers=installation.keys["erna"]).status_code == 200


def remove(installation: Installation, body: dict[str, Any]) -> None:
    assert installation.client().get(f"/api/v1/photos/{digest(body)}").status_code == 200  # drawn, and kept nowhere
    assert installation.client().delete(body["url"], headers=installation.keys["olga"]).status_code == 204
    assert installation.client().get(f"/api/v1/photos/{digest(body)}").status_code == 404  # before the next run, too


def reserve(installation: Installation, body: dict[str, Any]) -> None:
    change = {"licence": "all-rights-reserved"}
    answer = installation.client().patch(
        body["url"], json=change | {"version": body["version"]}, headers=installation.keys["olga"]
    )
    assert answer.status_code == 200


def by_command(_: Installation, body: dict[str, Any]) -> None:
    assert main(["index", "withdraw", "--observation", f"{OWN}:{body['id']}"]) == 0


@pytest.mark.parametrize("take_back", [reverse, remove, reserve, by_command])
def test_a_reference_goes_with_what_made_it_one(
    installation: Installation, take_back: Callable[[Installation, dict[str, Any]], None]
) -> None:
    body, other = installation.approved([FRESH]), installation.approved([draw_photo(EMETICA, 72)])
    adopt(installation)

    take_back(installation, body)
    adopt(installation)

    assert own_references(installation) == {digest(other)}
    assert digest(body) not in installation.evidence(FRESH)
    for command in ("embed", "build", "publish"):
        assert main(["index", command]) == 0
    assert own_references(installation) == {digest(other)}


def test_an_approval_that_comes_back_writes_nothing_new(installation: Installation) -> None:
    body = installation.approved([FRESH])
    first = adopt(installation)
    reverse(installation, body)
    adopt(installation)
    assert own_references(installation) == set()

    installation.approve(body["id"])
    again = adopt(installation)

    assert own_references(installation) == {digest(body)}
    root = installation.settings.flora_indexes
    assert read_manifest(root, again).segments == read_manifest(root, first).segments
    assert read_manifest(root, again).withdrawn == {}


def test_another_name_moves_the_reference_to_another_species(installation: Installation) -> None:
    body = installation.approved([FRESH])
    adopt(installation)

    installation.approve(body["id"], "Amanita muscaria")
    adopt(installation)

    found = installation.identify(FRESH)["species"]
    holder = next(c for c in found if any(one["photo"] == digest(body) for one in c["evidence"]))
    assert holder["taxon"]["scientificName"] == "Amanita muscaria"


def test_people_are_credited_as_they_want_to_be(installation: Installation) -> None:
    body = installation.approved([FRESH])
    adopt(installation)
    with installation.database.writing() as session:
        change_person(session, person_by_login(session, "olga").id, name="O. Olsen, Lund")

    adopt(installation)

    assert installation.evidence(FRESH)[digest(body)]["author"] == "O. Olsen, Lund"


def test_habitat_and_substrate_go_with_the_observation_as_classes(installation: Installation) -> None:
    installation.approved([FRESH], habitat="Buchenwald", substrate="dødt ved af gran")
    adopt(installation)

    snapshot = open_snapshot(installation.settings.flora_indexes)
    try:
        assert snapshot.contexts is not None
        said = {(one.habitat, one.substrate) for one in snapshot.contexts.listed()}
        assert (1 + HABITATS.index("deciduous-forest"), 1 + SUBSTRATES.index("coniferous-wood")) in said
    finally:
        snapshot.close()
    for command in ("build", "publish"):
        assert main(["index", command]) == 0
    body = installation.identify(FRESH, habitat="deciduous-forest", substrate="coniferous-wood")
    assert body["priorsApplied"] == ["habitat", "substrate"]
    first = body["species"][0]
    assert first["expectedInHabitat"] is first["expectedOnSubstrate"] is True
    assert first["priors"]["habitat"] * first["priors"]["substrate"] == pytest.approx(first["prior"], rel=1e-4)


def test_an_obscured_place_is_published_as_its_grid_cell(installation: Installation) -> None:
    installation.approved([FRESH], obscured="true", **SPOT)
    adopt(installation)

    with installation.database.reading() as session:
        filed = session.scalars(select(Observation).where(Observation.dataset_id == OWN)).one()
        exact = session.scalars(select(FieldObservation)).one()
        assert (filed.decimal_latitude, filed.decimal_longitude) == (55.7, 12.5)
        assert exact.decimal_latitude == 55.676098
        observation = filed.id
    snapshot = open_snapshot(installation.settings.flora_indexes)
    try:
        assert snapshot.contexts is not None
        assert ObservationContext(observation, 5, cell_of(55.7, 12.5)) in snapshot.contexts.listed()
    finally:
        snapshot.close()


def test_a_place_that_is_obscured_later_is_published_anew(installation: Installation) -> None:
    far = {
        "decimalLatitude": "56.358",
        "decimalLongitude": "10.401",
    }  # in another H3 cell than its grid cell's middle
    body = installation.approved([FRESH], **far)
    adopt(installation)
    assert cell_of(56.358, 10.401) != cell_of(56.3, 10.5)

    installation.client().patch(
        body["url"], json={"obscured": True, "version": body["version"]}, headers=installation.keys["olga"]
    )
    adopt(installation)

    snapshot = open_snapshot(installation.settings.flora_indexes)
    try:
        cells = {one.cell for one in snapshot.contexts.listed()} if snapshot.contexts else set()
        assert cell_of(56.358, 10.401) not in cells
        assert cell_of(56.3, 10.5) in cells
    finally:
        snapshot.close()


def test_a_species_that_the_snapshot_does_not_know_waits_for_a_build(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    with installation.database.writing() as session:
        TaxonRegister().file(session, TaxonEntry("Russula nova"))
    body = installation.approved([FRESH], "Russula nova")

    adopt(installation)
    assert "1 photos are of species that the snapshot does not have" in capsys.readouterr().out
    assert own_references(installation) == set()
    assert main(["index", "build"]) == 0
    assert main(["index", "publish"]) == 0

    assert own_references(installation) == {digest(body)}


def test_the_photo_of_another_dataset_stays_theirs(installation: Installation) -> None:
    with installation.database.reading() as session:
        theirs = {photo.sha256: photo.observation for photo in references(session)}
    installation.approved([FRESH])
    adopt(installation)

    with installation.database.reading() as session:
        now = {photo.sha256: photo.observation for photo in references(session)}

    assert theirs.items() <= now.items()
    assert len(now) == len(theirs) + 1


def test_own_observations_speak_once_in_validation(installation: Installation) -> None:
    first = installation.approved([FRESH])
    adopt(installation)

    second = installation.record([draw_photo(EMETICA, 73)], scientificName="Russula emetica", certainty="certain")

    answer = installation.client().get(second["url"], headers=installation.keys["erna"]).get_json()
    assert answer["proposals"][0]["ingredients"]["records"] == 2 + 1  # the collection's two, and the approved one
    assert first["status"] == "approved"


def test_a_dataset_is_withdrawn_from_catalogue_and_snapshot_and_let_in_again(installation: Installation) -> None:
    body = installation.approved([FRESH])
    installation.approved([draw_photo(MUSCARIA, 74)], "Amanita muscaria")
    adopt(installation)

    assert main(["index", "withdraw", "--dataset", "walks"]) == 0

    held = open_snapshot(installation.settings.flora_indexes)
    assert held.references == 2
    held.close()
    for command in ("embed", "build", "publish"):
        assert main(["index", command]) == 0
    assert (
        read_manifest(installation.settings.flora_indexes, read_current(installation.settings.flora_indexes)).references
        == 2
    )
    assert main(["index", "withdraw", "--dataset", "walks", "--undo"]) == 0
    for command in ("build", "publish"):
        assert main(["index", command]) == 0
    shown = installation.evidence(FRESH)
    assert digest(body) in shown
    assert len(shown) > 2


def test_an_archive_of_the_same_name_is_neither_mixed_with_nor_lost(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collection", "import", "csv", "photos.csv", "--dataset", OWN]) == 1
    with installation.database.writing() as session:  # from before the name was taken
        session.add(Dataset(id=OWN, title="An archive", kind="csv"))
    installation.approved([FRESH])

    assert main(["observations", "adopt"]) == 1
    monkeypatch.setenv("FUNGARIUM_REFERENCE_LICENCES", "none")
    assert main(["observations", "adopt"]) == 0

    said = capsys.readouterr().err
    assert "choose another id" in said
    assert "FUNGARIUM_REFERENCE_LICENCES=none" in said
    assert own_references(installation) == set()


def test_withdrawing_what_nobody_has_is_refused(installation: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "withdraw", "f" * 64]) == 1
    assert main(["index", "withdraw", "--dataset", "nothing"]) == 1
    assert main(["index", "withdraw"]) == 1

    said = capsys.readouterr().err
    assert "neither the catalogue nor a snapshot" in said
    assert "there is no dataset 'nothing'; there are: walks" in said
    assert "say what to withdraw" in said
    assert np.isfinite(installation.identify(FRESH)["species"][0]["score"])
