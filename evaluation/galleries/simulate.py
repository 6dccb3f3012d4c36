"""The simulated operating point: a collection as large as a national atlas, an embedding as good as a published one.

No public photo set is large enough to test ranking, priors and scale together. Two numbers are set so
that plain 1-NN on uniformly drawn queries finds the species as often as is published of the embedder
fungi_V2 (recall@1 0.399, recall@5 0.60): `within` and `genus_share`. Everything else is counted,
measured or stated beforehand in `Assumptions`, with its source, and nothing is set by looking at what
a ranking rule gains. The two are set for seed 1 and the names of the FGVCx categories; with other seeds or invented
names recall@1 moves by a few points, since the largest genera weigh much, and what is measured is always printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.domain import RANKS
from retrieval.models.embedder import DIM, Embeddings

GENUS_SIZES = {
    1: 222, 2: 82, 3: 38, 4: 20, 5: 16, 6: 8, 7: 5, 8: 3, 10: 4, 11: 3, 12: 1, 13: 2, 14: 1, 15: 2,
    21: 1, 22: 2, 28: 1, 35: 1, 38: 2, 45: 1, 53: 1, 78: 1, 92: 1,
}  # fmt: skip
"""How many genera of the FGVCx Fungi 2018 categories have so many species; used where no file of names is given."""

MONTHS = 12
GRID = 16  # the simulated world is GRID x GRID cells, each as wide as an H3 cell of the resolution that is counted


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the simulation takes for true. The first two are set by the published recall, the others beforehand."""

    within: float = 1.18  # variance within a species over the variance between species, in the middle; set by recall@1
    unevenness: float = 0.35
    """Genera differ in how variable their species are, lognormally with this deviation; set by recall@5. That
    they differ is published: accuracy was 24 to 100 % over the Danish atlas' morphogroups (WACV 2020, section 5.3)."""

    genus_share: float = 0.67
    """Of the variance between species, what their genus explains: 0.168 of 0.250 on `photos/` with the B4 model."""
    references: int = 85_578  # photos of the FGVCx Fungi training set (Sulc et al., WACV 2020, section 3.1)
    tail: float = 1.33
    """Photos per species are lognormal (Preston 1948); with this deviation the top 1 % of the species hold
    16 % of the photos, as in iNaturalist 2017 (Van Horn et al. 2018, figure 2)."""
    single: float = 0.56
    """Observations with one photo: 56 % of the 804 in the GBIF sample of `samples/gbif-multimedia`."""
    photos: float = 2.01  # mean photos of an observation in the same sample
    observation_share: float = 0.17
    """Of the variance within a species, what photos of one observation share: measured on the 93 pairs and
    1,060 couples of observations in `photos/` with the B4 model, 0.108 of 0.629."""
    genus_spectrum: float = 2.0
    species_spectrum: float = 1.2
    within_spectrum: float = 0.5
    """The i-th axis has variance i^-exponent. Measured on `photos/` with the B4 model, in the principal axes of all
    photos: what species of one genus share falls with exponent 2.0, what else photos of one species share
    with 1.2, and what sets those apart with 0.5. (With one exponent for all, as first written, whitening
    alone found 96 % of the species: no embedding is like that.)"""
    grouping: float = 0.53
    """Ranks above the genus are drawn as unevenly as genera are: Pitman-Yor with the discount that gives the
    share of genera with a single species, 222 of 418. Embeddings share nothing above the genus."""
    range_median: float = 2.0  # cells; the standard deviation of a species' range around its centre
    range_spread: float = 0.6  # of its logarithm: ranges are right-skewed, near lognormal (Gaston 2003)
    autumn: float = 0.8  # of the species fruit around the end of September, the others around any time of the year
    autumn_spread: float = 1.0  # months; between the peaks of autumn species
    season_spread: float = 1.2  # months; between the finds of one species
    region_share: float = 0.3  # of the species stand on the regional flora's list


@dataclass(frozen=True, slots=True)
class Finds:
    """Photos in the order of their observations; all arrays but `embeddings` hold one entry for each photo."""

    embeddings: Embeddings  # (photos, 256)
    species: NDArray[np.int64]  # numbers of species, from 0
    observation: NDArray[np.int64]  # ascending
    month: NDArray[np.int64]  # 0 to 11
    cell: NDArray[np.int64]  # 0 to GRID * GRID - 1

    def __len__(self) -> int:
        return len(self.species)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A gallery, queries that it does not hold, and the truth behind both."""

    names: tuple[str, ...]  # of species
    lineages: NDArray[np.int64]  # (species, 7): the number of the species' taxon at each rank, within that rank
    gallery: Finds
    queries: Finds
    region: NDArray[np.bool_]  # (species,): on the regional flora's list
    region_cells: NDArray[np.bool_]  # (cells,)
    assumptions: Assumptions
    seed: int
    ranks: tuple[str, ...] = field(default=RANKS)


def simulate(
    assumptions: Assumptions | None = None, *, names: Path | None = None, queries: int = 10_000, seed: int = 1
) -> Simulation:
    """Draw a collection and `queries` observations of uniformly drawn species, each of 1 to 4 photos."""
    given = assumptions or Assumptions()
    rng = np.random.default_rng(seed)
    species, genera = read_names(names) if names else make_names()
    lineages = draw_lineages(genera, given.grouping, rng)
    make = draw_directions(given, genera, rng)
    centres, widths, peaks = draw_habits(given, len(species), rng)

    def find(counts: NDArray[np.int64], most: int) -> Finds:
        who, observation = deal_photos(counts, given, most, rng)
        first = np.flatnonzero(np.diff(observation, prepend=-1))
        month = draw_months(peaks[who[first]], given.season_spread, rng)[observation]
        cell = draw_cells(centres[who[first]], widths[who[first]], rng)[observation]
        return Finds(make(who, observation, rng), who, observation, month, cell)

    gallery = find(share_photos(given, len(species), rng), 1_000)
    asked = rng.permutation(np.resize(rng.permutation(len(species)), queries))
    query_photos = draw_photo_counts(queries, given, 4, rng)
    who = np.repeat(asked, query_photos)
    observation = np.repeat(np.arange(queries), query_photos)
    month = draw_months(peaks[asked], given.season_spread, rng)
    cell = draw_cells(centres[asked], widths[asked], rng)
    questions = Finds(make(who, observation, rng), who, observation, month[observation], cell[observation])
    region, cells = draw_region(given, centres, widths)
    return Simulation(species, lineages, gallery, questions, region, cells, given, seed)


def read_names(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of species, and the number of each one's genus, from a COCO file whose supercategory is the genus."""
    categories = sorted(json.loads(path.read_text(encoding="utf-8"))["categories"], key=lambda c: int(c["id"]))
    genera = sorted({category["supercategory"] for category in categories})
    number = {genus: place for place, genus in enumerate(genera)}
    return tuple(c["name"] for c in categories), np.array([number[c["supercategory"]] for c in categories])


def make_names() -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Invented names with the genus sizes of the same file."""
    sizes = [size for size, count in sorted(GENUS_SIZES.items(), reverse=True) for _ in range(count)]
    genera = np.repeat(np.arange(len(sizes)), sizes)
    names = tuple(f"Genus{genus} species{place}" for genus, size in enumerate(sizes) for place in range(size))
    return names, genera


def draw_lineages(genera: NDArray[np.int64], discount: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Group genera to families, families to orders and so on; one kingdom. Gives (species, 7)."""
    columns = [np.arange(len(genera)), genera]
    for _ in range(len(RANKS) - 3):
        below = columns[-1]
        columns.append(group(int(below.max()) + 1, discount, rng)[below])
    columns.append(np.zeros(len(genera), dtype=np.int64))
    return np.stack(columns[::-1], axis=1)


def group(count: int, discount: float, rng: np.random.Generator, strength: float = 1.0) -> NDArray[np.int64]:
    """Seat `count` members by the Pitman-Yor process (Pitman and Yor 1997); gives the group of each."""
    sizes: list[int] = []
    seats = []
    for seated in range(count):
        chances = np.array([*(size - discount for size in sizes), strength + discount * len(sizes)])
        seat = int(rng.choice(len(chances), p=chances / (seated + strength)))
        if seat == len(sizes):
            sizes.append(0)
        sizes[seat] += 1
        seats.append(seat)
    return np.array(seats, dtype=np.int64)


def share_photos(given: Assumptions, species: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Photos of each species: the quantiles of a lognormal, scaled to the sum that is published, at least one."""
    grid = (np.arange(species) + 0.5) / species
    weights = np.sort(np.exp(given.tail * normal_quantiles(grid)))[::-1]
    counts = np.maximum(1, np.round(weights / weights.sum() * given.references)).astype(np.int64)
    counts[0] += given.references - counts.sum()
    if counts[0] < 1:
        raise ValueError(f"{given.references} references are too few for the tail of {species} species")
    return np.asarray(rng.permutation(counts), dtype=np.int64)


def normal_quantiles(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of the normal distribution, read from its cumulated density on a fine grid."""
    x = np.linspace(-6, 6, 24_001)
    cumulated = np.cumsum(np.exp(-0.5 * x * x))
    return np.interp(shares, cumulated / cumulated[-1], x)


def draw_photo_counts(observations: int, given: Assumptions, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Photos of each observation: one for `single` of them, else two and a geometric number more."""
    further = (given.photos - given.single) / (1 - given.single) - 2
    more = 2 + rng.geometric(1 / (1 + further), observations) - 1
    return np.minimum(np.where(rng.random(observations) < given.single, 1, more), most).astype(np.int64)


def deal_photos(
    counts: NDArray[np.int64], given: Assumptions, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut each species' photos into observations; gives species and observation of each photo."""
    species = np.repeat(np.arange(len(counts)), counts)
    sizes = np.zeros(0, dtype=np.int64)
    while sizes.sum() < len(species):
        sizes = np.concatenate([sizes, draw_photo_counts(len(species), given, most, rng)])
    starts = np.zeros(len(species), dtype=bool)
    starts[np.cumsum(sizes[: np.searchsorted(np.cumsum(sizes), len(species))])[:-1]] = True
    starts |= np.diff(species, prepend=-1) != 0
    return species, np.cumsum(starts) - 1


def draw_directions(
    given: Assumptions, genera: NDArray[np.int64], rng: np.random.Generator
) -> Callable[[NDArray[np.int64], NDArray[np.int64], np.random.Generator], Embeddings]:
    """Draw where species lie; gives the function that embeds photos of (species, observation)."""
    within = make_axes(given.within_spectrum)
    spread = np.exp(given.unevenness / 2 * rng.standard_normal(int(genera.max()) + 1)).astype(np.float32)[genera]
    genus = rng.standard_normal((int(genera.max()) + 1, DIM), dtype=np.float32) * make_axes(given.genus_spectrum)
    own = rng.standard_normal((len(genera), DIM), dtype=np.float32) * make_axes(given.species_spectrum)
    centres = np.sqrt(given.genus_share) * genus[genera] + np.sqrt(1 - given.genus_share) * own

    def make(species: NDArray[np.int64], observation: NDArray[np.int64], rng: np.random.Generator) -> Embeddings:
        seen = rng.standard_normal((int(observation.max()) + 1, DIM), dtype=np.float32)[observation]
        seen *= np.float32(np.sqrt(given.within * given.observation_share))
        photo = rng.standard_normal((len(species), DIM), dtype=np.float32)
        seen += np.float32(np.sqrt(given.within * (1 - given.observation_share))) * photo
        seen *= within * spread[species][:, None]
        seen += centres[species].astype(np.float32)
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        return seen

    return make


def make_axes(exponent: float) -> NDArray[np.float32]:
    """The standard deviation of each axis; the variances add up to 1."""
    axes = np.arange(1, DIM + 1, dtype=np.float64) ** (-exponent / 2)
    return (axes / np.linalg.norm(axes)).astype(np.float32)


def draw_habits(
    given: Assumptions, species: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre (species, 2) and width of each species' range in cells, and the peak of its season in months."""
    centres = rng.uniform(0, GRID, (species, 2))
    widths = given.range_median * np.exp(given.range_spread * rng.standard_normal(species))
    autumn = 8.9 + given.autumn_spread * rng.standard_normal(species)
    peaks = np.where(rng.random(species) < given.autumn, autumn, rng.uniform(0, MONTHS, species))
    return centres, widths, peaks


def draw_months(peaks: NDArray[np.float64], spread: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The month of each observation, 0 to 11."""
    return np.floor((peaks + spread * rng.standard_normal(len(peaks))) % MONTHS).astype(np.int64)


def draw_cells(
    centres: NDArray[np.float64], widths: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The cell of each observation: normal around the centre of the range, mirrored at the edge of the world."""
    at = centres + widths[:, None] * rng.standard_normal(centres.shape)
    at = np.abs(at) % (2 * GRID)
    at = np.minimum(at, 2 * GRID - at)
    x, y = np.minimum(np.floor(at), GRID - 1).astype(np.int64).T
    return np.asarray(x * GRID + y, dtype=np.int64)


def draw_region(
    given: Assumptions, centres: NDArray[np.float64], widths: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """A region round the middle of the world: its cells, and the species most of whose finds are near it."""
    x, y = np.divmod(np.arange(GRID * GRID), GRID)
    cells = (np.abs(x + 0.5 - GRID / 2) < GRID / 4) & (np.abs(y + 0.5 - GRID / 2) < GRID / 4)
    distance = np.linalg.norm(np.maximum(0, np.abs(centres - GRID / 2) - GRID / 4), axis=1) / widths
    inside = np.zeros(len(widths), dtype=bool)
    inside[np.lexsort((np.arange(len(widths)), distance))[: round(given.region_share * len(widths))]] = True
    return inside, cells
