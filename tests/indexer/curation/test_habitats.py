"""Texts about habitat and substrate are mapped to the classes of docs/habitats.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.curation.habitats import HABITAT_WORDS, SUBSTRATE_WORDS, classify_habitat, classify_substrate
from retrieval.domain import HABITATS, SUBSTRATES

DOCUMENT = Path(__file__).parents[3] / "docs" / "habitats.md"

TOLD = {
    "deciduous-forest": (
        "Deciduous woodland", "Skov: Løvskov", "Buchenwald", "bokskog", "under Fagus sylvatica",
        "Eichen-Hainbuchenwald", "beech litter", "loofbos", "forêt de feuillus", "BØGESKOV", "mycorrhizal with oak",
    ),
    "coniferous-forest": (
        "coniferous woodland/plantation", "Skov: Nåleskov/plantage", "Fichtenforst", "granskog", "barrskog",
        "Pinus sylvestris forest", "spruce needles", "naaldbos", "forêt de conifères", "Rødgranplantage",
    ),
    "mixed-forest": (
        "Mixed woodland (with coniferous and deciduous trees)", "Blandskov (med løv- og nåletræer)", "Mischwald",
        "blandskog", "Picea abies, Betula pendula",
    ),
    "wet-forest": ("Forest bog", "Skov: Sumpskov", "Erlenbruchwald", "Auwald", "alder carr", "sumpskog"),
    "scrub": ("hedgerow", "Thorny scrubland", "levende hegn", "Hecke", "snår"),
    "grassland": ("natural grassland", "meadow", "overdrev", "eng", "Magerrasen", "äng", "hagmark med björk"),
    "heath": ("heath", "hede", "Heide", "heath with birch"),
    "bog": ("bog", "mose", "Hochmoor", "Moor", "rigkær", "tourbière"),
    "coast": ("dune", "salt meadow", "Klithede", "in den Dünen", "strandeng"),
    "arable": ("fallow field", "fertilized field in rotation", "Acker", "åker"),
    "garden": ("garden", "By: Have", "Have", "park/churchyard", "park med bøg", "Friedhof", "vägkant", "lawn"),
    "bare-ground": ("gravel or clay pit", "grusgrav", "Steinbruch", "rock"),
    "": ("", "   ", "other habitat", "forest", "Wald", "moss", "sand", "unknown", "we have seen it", "engelsk"),
}  # fmt: skip
GROWN = {
    "soil": ("soil", "jord", "Boden", "humus", "grond"),
    "litter": ("leaf or needle litter", "løv- og nålestrøelse", "förna", "needle litter"),
    "deciduous-wood": ("dead wood of beech", "Buchenholz", "Laubholz", "log of Fagus sylvatica", "Stamm von Eiche"),
    "coniferous-wood": ("stump of Picea", "granved", "Nadelholz"),
    "wood": (
        "dead wood (including bark)",
        "dødt ved (incl. bark)",
        "Totholz",
        "stubbe",
        "mossy log",
        "bois mort",
        "hout",
    ),
    "living-tree": ("bark of living trees", "wood and roots of living trees", "levende træ"),
    "mulch": ("wood chips or mulch", "træflis"),
    "dung": ("faeces", "ekskrementer", "Kuhdung"),
    "moss": ("mosses", "peat mosses", "Moos"),
    "herbs": ("dead stems of herbs, grass etc", "tagrør"),
    "fungi": ("fungi", "mycetozoans", "on Russula"),
    "burnt-ground": ("fire spot", "bålplads", "Brandstelle"),
    "cones": ("cones", "fruits", "Fichtenzapfen", "kotte"),
    "animal": ("insects",),
    "stone": ("siliceous stone", "sten"),
    "": ("", "unknown"),
}


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(text, name) for name, texts in table.items() for text in texts]


@pytest.mark.parametrize(("text", "name"), pairs(TOLD))
def test_a_habitat_has_its_class_in_several_languages(text: str, name: str) -> None:
    assert classify_habitat(text) == name


@pytest.mark.parametrize(("text", "name"), pairs(GROWN))
def test_a_substrate_has_its_class_in_several_languages(text: str, name: str) -> None:
    assert classify_substrate(text) == name


@pytest.mark.parametrize(
    ("substrate", "habitat", "name"),
    [
        ("", "beech forest, on a fallen log", "deciduous-wood"),
        ("", "on dung in a pasture", "dung"),
        ("", "in beech wood", ""),  # a wood is no piece of wood
        ("", "beech forest", ""),
        ("jord", "on dead wood", "soil"),  # what is said of the substrate goes first
        ("something", "spruce forest, on a stump", "coniferous-wood"),
    ],
)
def test_a_text_about_the_habitat_tells_of_the_substrate_where_nothing_else_does(
    substrate: str, habitat: str, name: str
) -> None:
    assert classify_substrate(substrate, habitat) == name


def test_every_class_has_words_and_stands_in_the_document() -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    by_trees = {"deciduous-forest", "coniferous-forest", "mixed-forest"}
    by_wood = {"deciduous-wood", "coniferous-wood", "wood"}

    assert set(HABITATS) == set(HABITAT_WORDS) | by_trees
    assert set(SUBSTRATES) == set(SUBSTRATE_WORDS) | by_wood
    assert [name for name in (*HABITATS, *SUBSTRATES) if f"| `{name}` |" not in written] == []
