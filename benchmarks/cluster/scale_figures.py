"""Inputs of the scale model: measured on this project's machine, or marked as assumptions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"
SEARCH = "flora_search-1000000-seed21.json"
EMBEDDING = "embedding.jsonl"
CALLS = "call_cost.json"
BUILDING = "build_memory.json"
NETWORK = "efficientnet_b4"  # the model for re-embedding: the largest one measured


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds are of one thread of the machine that measured (2 cores, AMD Zen 5); an observation has 2 views."""

    # measured here, read from benchmarks/results
    search_fixed_ms: float  # fixed cost of a search, for an observation
    search_species_ms: float  # for each species of the flora, whose prototype is compared
    search_row_ms: float  # for each reference compared
    probes_at_5000: float  # probed species, in a world of 5,000
    skew: float  # references of a probed species, relative to the mean species
    bytes_per_reference: float  # embeddings, codes, metadata, and its share of the floras
    build_fixed_gb: float  # memory of the building process, independent of size
    build_bytes_per_reference: float  # memory for each reference, in the most demanding stage
    build_ms_per_reference: float  # of a processor
    infer_ms: float  # of a processor, for a photo
    decode_ms: float  # of a photo of 640 x 480
    call_ms: float  # round trip through Ray, on one machine
    further_call_ms: float  # for each further shard called at the same time
    merge_ms: float  # for each shard's reply
    # measured on the same kind of machine, in the collected facts about the dependencies
    decode_camera_ms: float = 26.5
    """"Pillow draft (>=2x target) + bicubic, or thumbnail() 26.5" (PACKAGES.md): a photo of 4000 x 3000."""
    memory_gb_s: float = 38.0
    """"Memory bandwidth here is about 38 GB/s on one thread" (PERFORMANCE.md): no row can be read faster."""
    # assumed, since nothing similar could be measured
    network_ms: float = 0.3  # between machines of one data centre, in addition to a local call
    jitter: float = 0.25  # spread of a shard's time (log-normal)
    straggles: float = 0.002  # share of calls that are `straggle` times as slow: a page from disk, a busy core, a pause
    straggle: float = 10.0
    probes_grow: float = 0.5  # exponent of the growth of probed species with all species
    genus: int = 10  # probed species that share a shard, since genera are not split
    machine_cores: int = 32
    machine_gb: float = 256.0
    memory_share: float = 0.7  # share of a machine's memory available to references
    busy: float = 0.5  # largest planned utilisation of a machine's cores
    gpu_photos_s: float = 2_000.0  # photos per second that a data-centre GPU embeds with a network of this size
    photo_megabytes: float = 0.3
    network_gb_s: float = 1.25  # a port of 10 Gb/s
    price_core_hour: float = 0.04  # euros; replace by your own
    price_gpu_hour: float = 2.5


def read_figures(results: Path = RESULTS) -> Figures:
    """Return the figures, with measured ones read from the stored results."""
    search = json.loads((results / SEARCH).read_text(encoding="utf-8"))
    recipes = search["recipes"]
    fixed, per_species, per_row = fit_search(
        [recipes[flora]["species"] for flora in recipes],
        [recipes[flora]["looked_at"] for flora in recipes],
        [search["latency_ms"]["Fungarium"][flora] for flora in recipes],
    )
    world = recipes["world"]
    skews = [
        recipe["looked_at"] / recipe["probes"] / (recipe["references"] / recipe["species"])
        for recipe in recipes.values()
    ]
    lines = [json.loads(line) for line in (results / EMBEDDING).read_text(encoding="utf-8").splitlines()]
    cost = next(
        line["of the processor, ms a photo"]
        for line in reversed(lines)
        if line["model"].startswith(NETWORK) and "of the processor, ms a photo" in line
    )
    building = json.loads((results / BUILDING).read_text(encoding="utf-8"))
    each, smallest = building["a_reference"]["build"], min(building["sizes"], key=int)
    calls = json.loads((results / CALLS).read_text(encoding="utf-8"))
    return Figures(
        search_fixed_ms=round(fixed, 6),
        search_species_ms=round(per_species, 9),
        search_row_ms=round(per_row, 9),
        probes_at_5000=float(world["probes"]),
        skew=round(float(np.median(skews)), 3),
        bytes_per_reference=round(float(search["bytes_per_reference"]["Fungarium"]), 1),
        build_fixed_gb=round(building["sizes"][smallest]["commands"]["build"]["own_megabytes"] / 1000, 3),
        build_bytes_per_reference=max(stage["bytes"] for stage in each["stages"].values()),
        build_ms_per_reference=each["processor_microseconds"] / 1000,
        infer_ms=float(cost["inference"]),
        decode_ms=float(cost["decode"]),
        call_ms=calls["first_call_ms"],
        further_call_ms=calls["further_call_ms"],
        merge_ms=calls["merge_ms_a_shard"],
    )


def fit_search(species: list[int], rows: list[int], latency_ms: list[float]) -> tuple[float, float, float]:
    """Fit the fixed cost of a search and its cost per species and row compared, by least squares over floras."""
    known = np.column_stack([np.ones(len(rows)), species, rows]).astype(np.float64)
    found, *_ = np.linalg.lstsq(known, np.asarray(latency_ms, dtype=np.float64), rcond=None)
    fixed, per_species, per_row = (float(value) for value in found)
    return fixed, per_species, per_row
