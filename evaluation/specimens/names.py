"""Names of species that do not exist, in Latin, English and Danish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class GenusName:
    """A genus of the demo collection with its invented common names."""

    name: str
    english: str
    danish: str


@dataclass(frozen=True, slots=True)
class Epithet:
    """An epithet that fits a genus of either gender, with its invented common adjectives."""

    name: str
    english: str
    danish: str


FAMILIES = {
    "gilled": "Fictaricaceae",
    "pored": "Fictoletaceae",
    "toothed": "Fictodontellaceae",
    "ridged": "Fabularellaceae",
    "bracket": "Imaginoporiaceae",
    "coral": "Chimaeraclavulaceae",
    "cup": "Nugapezizellaceae",
    "puffball": "Mendacoperdaceae",
}
"""The family of each kind in the demo collection; its first genus below is the type."""

GENERA = {
    "gilled": (
        GenusName("Fictaricus", "fablecap", "fabelhat"),
        GenusName("Nusquamita", "nowhereshade", "ingenstedskærm"),
        GenusName("Commenticybe", "fibfunnel", "skrønehat"),
        GenusName("Somniomphala", "dreambonnet", "drømmehue"),
    ),
    "pored": (
        GenusName("Fictoletus", "fablebolete", "fabelrørhat"),
        GenusName("Utopioletus", "erewhon bolete", "utopirørhat"),
        GenusName("Nemoletus", "nobody's bolete", "ingenrørhat"),
    ),
    "toothed": (
        GenusName("Fictodontella", "fabletooth", "fabelpigsvamp"),
        GenusName("Nullidontia", "nulltooth", "nulpigsvamp"),
    ),
    "ridged": (
        GenusName("Fabularellus", "talehorn", "sagnhorn"),
        GenusName("Nusquarellus", "nowherehorn", "ingenstedshorn"),
    ),
    "bracket": (
        GenusName("Imaginoporia", "thoughtshelf", "tankeporesvamp"),
        GenusName("Phantasmofomes", "ghostconk", "genfærdsporesvamp"),
    ),
    "coral": (
        GenusName("Chimaeraclavula", "chimaera coral", "kimærekølle"),
        GenusName("Fictoramaria", "fablecoral", "fabelkoral"),
    ),
    "cup": (GenusName("Nugapezizella", "trifle cup", "vrøvlebæger"),),
    "puffball": (GenusName("Mendacoperda", "fibpuff", "løgnbold"),),
}

_EPITHETS = """
fallax deceiving bedragerisk|simulans pretending efterlignende|ludens playful legende|absens absent fraværende
latens hidden skjult|errans wandering omflakkende|mendax lying løgnagtig|vagans roaming vandrende
dormiens sleeping sovende|ridens laughing leende|fugiens fleeing flygtende|tacens silent tavs
mirabilis wonderful forunderlig|incredibilis incredible utrolig|improbabilis unlikely usandsynlig
possibilis possible mulig|fabularis storied fabelagtig|somnialis dreamt drømt|irrealis unreal uvirkelig
virtualis virtual tænkt|nusquamensis nowhere ingensteds|utopiensis utopian utopisk|lunicola moon-dwelling måneboende
nubicola cloud-dwelling skyboende|umbricola shade-dwelling skyggeboende|charticola paper-dwelling papirboende
scriptoricola desk-dwelling bordboende|penicillicola brush-dwelling penselboende|oblivialis forgotten glemt
inanis empty tom|levis light let|volans flying flyvende|cantans singing syngende|saltans dancing dansende
susurrans whispering hviskende|vigilans watchful vågen|dubitans doubting tvivlende|interrogans asking spørgende
respondens answering svarende|narrans narrating fortællende|delirans raving fablende|nominalis nominal navngiven
duplex double dobbelt|simplex simple enkel|triplex threefold tredobbelt|praecox early tidlig|tardans late sen
velox swift hurtig|audax daring dristig|felix happy glad|pertinax stubborn stædig|loquax chatty snakkesalig
fugax shy sky|tenax clinging klæbrig|sagax clever klog|rapax greedy grådig|insularis island ø|orientalis eastern østlig
borealis northern nordlig|australis southern sydlig|occidentalis western vestlig|litoralis shore strand
montensis hill bakke|campensis meadow eng|silvicola woodland skov|hortensis garden have|urbicola town by
festivalis festive festlig|annualis yearly årlig|memorabilis memorable mindeværdig|solitudinis lonely ensom
"""


def _epithets() -> tuple[Epithet, ...]:
    words = [entry.split() for line in _EPITHETS.strip().splitlines() for entry in line.split("|")]
    return tuple(Epithet(name, english, danish) for name, english, danish in words)


EPITHETS = _epithets()

_STEMS = ("Ficto", "Nusqua", "Fabulo", "Somnio", "Imagino", "Phantasmo", "Commento", "Chimaero", "Nulli", "Utopio")
_MIDDLES = ("bra", "dra", "ga", "ka", "li", "mi", "no", "pu", "quo", "ri", "so", "ta", "ve", "xi", "zo")
_ENDINGS = {
    "gilled": "ricus",
    "pored": "letus",
    "toothed": "dontella",
    "ridged": "rellus",
    "bracket": "poria",
    "coral": "clavula",
    "cup": "pezizella",
    "puffball": "perda",
}


def invent_genus(rng: np.random.Generator, kind: str) -> GenusName:
    """Invent a genus of a kind beyond those of the demo collection; it has no common name."""
    middles = "".join(rng.choice(_MIDDLES, int(rng.integers(1, 4))))
    return GenusName(f"{rng.choice(_STEMS)}{middles}{_ENDINGS[kind]}", "", "")


def family_of(genus: str) -> str:
    """Return the family named after a genus."""
    stem = genus.removesuffix("us").removesuffix("a")
    return f"{stem}aceae"
