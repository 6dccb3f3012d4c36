"""Simulates search on a large cluster: `python -m benchmarks.cluster.scale_model --out benchmarks/results`.

Its inputs are measured or assumed, as benchmarks/cluster/scale_figures.py states. Observations arrive at random and
search a flora or the world. The router compares the prototypes of the flora's species, chooses those to probe, and
calls the shards that hold them, one after the other. The cores of a shard serve calls in turn, some calls are
stragglers, and the slowest shard determines the latency. The model also gives the machines and memory needed, the cost
of re-embedding, and the scaling limit of each component.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cluster.scale_figures import Figures, read_figures

SIZES = (5_000_000, 100_000_000, 1_000_000_000)
SPECIES, FLORAS = 300_000, 300
HOURS = 3_600_000  # milliseconds
ROW = 512  # bytes of a row of 256 numbers at half precision


@dataclass(frozen=True, slots=True)
class Plan:
    """A collection on a cluster, and its load."""

    references: int
    species: int = SPECIES
    floras: int = FLORAS
    replicas: int = 2
    per_second: float = 100.0  # observations: 8.6 million a day
    world: float = 0.1  # share of observations without a flora
    smallest: float = 0.002  # floras' shares of the species, uniform on a logarithmic scale
    largest: float = 0.3
    split: int = 1  # shards on one machine, which share its cores
    levels: int = 1  # 2: the router compares genera first, then the species of the best


@dataclass(frozen=True, slots=True)
class Machines:
    """The number of machines needed."""

    holding: int  # machines for one copy of the references
    searching: int  # with replicas
    shards: int
    embedding_cores: float  # for embedding the photos of queries
    terabytes: float  # memory of all machines, with replicas


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the embeddings of an observation to its neighbours."""

    p50: float
    p99: float
    p999: float
    shards_asked: float  # per observation, mean
    rows_read: float
    router_ms: float  # its prototypes, mean
    utilisation: float  # utilisation of the searching cores


def probes_of(species: float, figures: Figures) -> float:
    """Return the number of probed species: measured at 5,000 species and assumed to grow by a power law."""
    return float(min(species, figures.probes_at_5000 * (species / 5_000) ** figures.probes_grow))


def router_ms(species: float, plan: Plan, figures: Figures) -> float:
    """Return the router's time for comparing all prototypes of a flora, or genera first, in milliseconds."""
    if plan.levels == 1:
        return float(figures.search_fixed_ms + figures.search_species_ms * species)
    genera = species / figures.genus
    return figures.search_fixed_ms + figures.search_species_ms * (genera + 10 * probes_of(species, figures))


def rows_of(species: float, plan: Plan, figures: Figures) -> float:
    """Return the number of references scanned for an observation."""
    each = plan.references / plan.species * figures.skew
    return min(probes_of(species, figures) * each, plan.references * species / plan.species)


def plan_machines(plan: Plan, figures: Figures, mean_species: float, views: float = 2.0) -> Machines:
    """Return the number of machines that memory or work requires, whichever is more."""
    held = plan.references * figures.bytes_per_reference
    holding = max(1, math.ceil(held / (1e9 * figures.machine_gb * figures.memory_share)))
    work = plan.per_second / 1000 * figures.search_row_ms * rows_of(mean_species, plan, figures)  # cores
    copies = math.ceil(work / (figures.machine_cores * figures.busy * holding))
    searching = holding * max(plan.replicas, copies)
    return Machines(
        holding,
        searching,
        holding * plan.split,
        round(plan.per_second / 1000 * views * (figures.infer_ms + figures.decode_ms), 1),
        round(held * searching / holding / 1e12, 3),
    )


def draw_floras(plan: Plan, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the number of species of each flora."""
    low, high = math.log(plan.smallest), math.log(plan.largest)
    drawn: NDArray[np.float64] = np.maximum(1.0, np.exp(rng.uniform(low, high, plan.floras)) * plan.species)
    return drawn


def simulate(plan: Plan, figures: Figures, *, queries: int = 20_000, seed: int = 8) -> tuple[Machines, Latency]:
    """Simulate the arrival and processing of observations."""
    rng = np.random.default_rng(seed)
    floras = draw_floras(plan, rng)
    asked = np.where(rng.random(queries) < plan.world, plan.species, floras[rng.integers(0, plan.floras, queries)])
    machines = plan_machines(plan, figures, float(asked.mean()))
    came = np.cumsum(rng.exponential(1000 / plan.per_second, queries))
    cores = max(1, figures.machine_cores // plan.split)
    free = [[[0.0] * cores for _ in range(machines.searching // machines.holding)] for _ in range(machines.shards)]
    there = (figures.call_ms + figures.network_ms) / 2
    took, routing, rows_read = np.empty(queries), np.empty(queries), np.empty(queries)
    spent, shards_asked = 0.0, 0
    for number, (moment, species) in enumerate(zip(came.tolist(), asked.tolist(), strict=True)):
        rows_read[number] = rows = rows_of(species, plan, figures)
        routing[number] = router_ms(species, plan, figures)
        genera = max(1, round(probes_of(species, figures) / figures.genus))
        shares = rng.multinomial(genera, [1 / machines.shards] * machines.shards) / genera
        holders = np.flatnonzero(shares).tolist()
        last = 0.0
        for place, shard in enumerate(holders):
            arrives = moment + routing[number] + place * figures.further_call_ms + there
            replica = min(free[shard], key=lambda busy: busy[0])  # the machine with the first free core
            service = serve_ms(rows * shares[shard], figures, rng)
            ends = max(arrives, replica[0]) + service
            heapq.heapreplace(replica, ends)
            spent += service
            last = max(last, ends)
        shards_asked += len(holders)
        took[number] = last + there + figures.merge_ms * len(holders) - moment
    p50, p99, p999 = np.quantile(took[queries // 10 :], [0.5, 0.99, 0.999]).tolist()  # cores are idle at first
    return machines, Latency(
        round(p50, 3),
        round(p99, 3),
        round(p999, 3),
        round(shards_asked / queries, 2),
        round(float(rows_read.mean()), 1),
        round(float(routing.mean()), 3),
        round(spent / (float(came[-1]) * machines.searching * figures.machine_cores), 5),
    )


def serve_ms(rows: float, figures: Figures, rng: np.random.Generator) -> float:
    """Draw the time that a core of a shard takes to scan `rows` rows, in milliseconds."""
    usual = figures.search_fixed_ms + figures.search_row_ms * rows
    if figures.jitter:
        usual *= float(rng.lognormal(-(figures.jitter**2) / 2, figures.jitter))
    return usual * (figures.straggle if figures.straggles and rng.random() < figures.straggles else 1.0)


def reembedding(references: int, figures: Figures) -> dict[str, float]:
    """Return the cost of re-embedding all references with the measured network."""
    core_hours = references * (figures.infer_ms + figures.decode_ms) / HOURS
    gpu_hours = references / figures.gpu_photos_s / 3600
    decode_hours = references * figures.decode_ms / HOURS
    return {
        "core_hours": round(core_hours),
        "days_on_1000_cores": round(core_hours / 1000 / 24, 2),
        "cpu_euros": round(core_hours * figures.price_core_hour),
        "gpu_hours": round(gpu_hours),
        "cores_that_decode_for_a_gpu": round(figures.gpu_photos_s * figures.decode_ms / 1000, 1),
        "cores_that_decode_camera_photos_for_a_gpu": round(figures.gpu_photos_s * figures.decode_camera_ms / 1000, 1),
        "gpu_euros": round(gpu_hours * figures.price_gpu_hour + decode_hours * figures.price_core_hour),
        "terabytes_read": round(references * figures.photo_megabytes / 1e6, 2),
        "port_hours": round(references * figures.photo_megabytes / 1000 / figures.network_gb_s / 3600, 1),
    }


def limits(figures: Figures) -> dict[str, float]:
    """Return the scaling limit of each component."""
    budget = 10.0  # ms that a part may take of an answer
    return {
        "references_one_process_builds_in_32_gb": references_built(32.0, figures),
        "references_one_process_builds": references_built(figures.machine_gb, figures),
        "hours_to_build_a_billion_in_one_process": round(1e9 * figures.build_ms_per_reference / HOURS, 1),
        "references_one_machine_holds": round(
            1e9 * figures.machine_gb * figures.memory_share / figures.bytes_per_reference
        ),
        "species_a_router_compares_in_10_ms": round((budget - figures.search_fixed_ms) / figures.search_species_ms),
        "observations_a_second_one_router_sends_to_8_shards": round(
            1000 / (router_ms(0.1 * SPECIES, Plan(0), figures) + 8 * figures.further_call_ms)
        ),
        "shards_whose_calls_alone_take_10_ms": round((budget - figures.call_ms) / figures.further_call_ms) + 1,
        "rows_a_core_reads_in_10_ms": round((budget - figures.search_fixed_ms) / figures.search_row_ms),
        "rows_a_core_could_read_in_10_ms_at_the_speed_of_memory": round(budget * 1e6 * figures.memory_gb_s / ROW),
        "shards_asked_at_which_one_in_ten_answers_straggles": round(math.log(0.9) / math.log(1 - figures.straggles)),
    }


def references_built(gigabytes: float, figures: Figures) -> int:
    """Return the number of references of a segment that can be built in this much memory."""
    return round(1e9 * (gigabytes - figures.build_fixed_gb) / figures.build_bytes_per_reference)


def run(figures: Figures, *, queries: int, seed: int, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Simulate every size, as it is and with possible improvements."""
    rows = []
    for references in sizes:
        cases: tuple[tuple[str, Plan, dict[str, Any]], ...] = (
            ("a shard a machine", Plan(references), {}),
            ("8 shards a machine", Plan(references, split=8), {}),
            ("32 shards a machine", Plan(references, split=32), {}),
            ("8, genera first", Plan(references, split=8, levels=2), {}),
            ("8, no stragglers", Plan(references, split=8), {"straggles": 0.0}),
            ("8, probes as species", Plan(references, split=8), {"probes_grow": 1.0}),
        )
        for name, plan, changed in cases:
            machines, latency = simulate(plan, replace(figures, **changed), queries=queries, seed=seed)
            rows.append(
                {"references": references, "case": name, "machines": asdict(machines), "latency": asdict(latency)}
            )
    return {
        "figures": asdict(figures),
        "plan": asdict(Plan(0)),
        "queries": queries,
        "seed": seed,
        "rows": rows,
        "reembedding": {str(references): reembedding(references, figures) for references in sizes},
        "limits": limits(figures),
    }


def describe(result: dict[str, Any]) -> str:
    """Format the result as a table."""
    lines = [
        f"{'references':>13} {'case':20} {'machines':>8} {'shards':>6} {'TB':>6} {'asked':>6} {'rows read':>10} "
        f"{'router ms':>9} {'p50 ms':>8} {'p99 ms':>8} {'p99.9':>8} {'busy':>7}"
    ]
    for row in result["rows"]:
        machines, latency = row["machines"], row["latency"]
        lines.append(
            f"{row['references']:13,} {row['case']:20} {machines['searching']:8} {machines['shards']:6} "
            f"{machines['terabytes']:6.3f} {latency['shards_asked']:6.2f} {latency['rows_read']:10,.0f} "
            f"{latency['router_ms']:9.2f} {latency['p50']:8.2f} {latency['p99']:8.2f} {latency['p999']:8.2f} "
            f"{latency['utilisation']:7.4f}"
        )
    lines += ["", "embedding everything anew"]
    for references, cost in result["reembedding"].items():
        lines.append(f"{int(references):13,} " + ", ".join(f"{name} {value:,}" for name, value in cost.items()))
    lines += ["", "where each part stops"]
    lines += [f"  {name}: {value:,}" for name, value in result["limits"].items()]
    return "\n".join(lines)


def main() -> None:
    """Simulate and print, and keep text and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=20_000, help="observations of a case (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder to keep scale_model.json and .txt in")
    options = parser.parse_args()
    result = run(read_figures(), queries=options.queries, seed=options.seed)
    text = describe(result)
    print(text)
    if options.out:
        (options.out / "scale_model.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (options.out / "scale_model.txt").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
