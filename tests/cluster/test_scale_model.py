"""The simulation of many machines agrees with calculations by hand, and the documentation quotes stored results."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster.scale_figures import Figures, fit_search, read_figures
from benchmarks.cluster.scale_model import Plan, describe, limits, plan_machines, reembedding, run, simulate

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "benchmarks" / "results" / "scale_model.json"

BY_HAND = Figures(
    search_fixed_ms=0.1,
    search_species_ms=0.001,
    search_row_ms=0.01,
    probes_at_5000=50.0,
    skew=2.0,
    bytes_per_reference=500.0,
    build_fixed_gb=0.2,
    build_bytes_per_reference=100.0,
    build_ms_per_reference=0.04,
    infer_ms=90.0,
    decode_ms=10.0,
    call_ms=1.0,
    further_call_ms=0.5,
    merge_ms=0.25,
    network_ms=0.4,
    jitter=0.0,
    straggles=0.0,
    machine_cores=4,
    machine_gb=1.0,
    memory_share=0.5,
)
WORLD = Plan(references=1_000_000, species=5_000, floras=3, per_second=0.1, world=1.0)


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return loaded


def test_a_quiet_shard_takes_what_its_parts_take() -> None:
    machines, latency = simulate(replace(WORLD, references=500_000), BY_HAND, queries=200)

    router = 0.1 + 0.001 * 5_000
    rows = 50 * (500_000 / 5_000) * 2.0
    shard = 0.1 + 0.01 * rows
    assert (machines.holding, machines.searching, machines.shards) == (1, 2, 1)
    assert latency.rows_read == rows == 10_000
    assert latency.p50 == latency.p99 == pytest.approx(router + 1.0 + 0.4 + shard + 0.25)


def test_of_two_shards_that_are_asked_the_second_call_and_each_ones_share_count() -> None:
    figures = replace(BY_HAND, genus=25)  # 50 species are two genera: half of the time both lie on one shard

    machines, latency = simulate(replace(WORLD, split=2), figures, queries=4_000)

    rows = 50 * (1_000_000 / 5_000) * 2.0
    on_one = (0.1 + 5.0) + 1.4 + (0.1 + 0.01 * rows) + 0.25
    on_two = (0.1 + 5.0) + 1.4 + 0.5 + (0.1 + 0.01 * rows / 2) + 2 * 0.25
    assert (machines.holding, machines.searching, machines.shards, machines.terabytes) == (1, 2, 2, 0.001)
    assert latency.shards_asked == pytest.approx(1.5, abs=0.03)
    assert latency.p99 == pytest.approx(on_one)
    assert min(abs(latency.p50 - on_one), abs(latency.p50 - on_two)) < 0.001


def wait_of_99_percent(busy: float) -> float:
    """Services that one in a hundred waits for, or more, in M/D/1: Erlang's distribution of the wait, summed."""

    def at_most(wait: float) -> float:
        return (1 - busy) * sum(
            (-busy * (wait - n)) ** n / math.factorial(n) * math.exp(busy * (wait - n)) for n in range(int(wait) + 1)
        )

    return next(step / 1000 for step in range(20_000) if at_most(step / 1000) >= 0.99)


def test_waiting_is_that_of_the_queue_with_one_server_and_equal_services() -> None:
    figures = replace(BY_HAND, machine_cores=1, busy=10.0)
    plan = replace(WORLD, references=500_000, replicas=1, per_second=1000 / 100.1 / 2)  # busy half of the time

    _, latency = simulate(plan, figures, queries=40_000)

    assert latency.utilisation == pytest.approx(0.5, abs=0.02)
    idle = 5.1 + 1.4 + 100.1 + 0.25
    assert latency.p50 == pytest.approx(idle, abs=10)
    assert latency.p99 == pytest.approx(idle + wait_of_99_percent(0.5) * 100.1, rel=0.12)


def test_machines_are_what_memory_asks_for_or_work() -> None:
    by_memory = plan_machines(replace(WORLD, references=2_500_000), BY_HAND, 5_000)
    by_work = plan_machines(replace(WORLD, per_second=100.0), BY_HAND, 5_000)

    assert (by_memory.holding, by_memory.searching) == (3, 6)  # 1.25 GB in portions of 0.5
    assert (by_work.holding, by_work.searching) == (1, 10)  # 20,000 rows x 0.01 ms x 100 a second are 20 cores of 2
    assert by_work.terabytes == pytest.approx(10 * 1_000_000 * 500 / 1e12)


def test_a_reembedding_and_the_limits_are_plain_arithmetic() -> None:
    cost = reembedding(36_000_000, BY_HAND)

    assert (cost["core_hours"], cost["gpu_hours"], cost["cores_that_decode_for_a_gpu"]) == (1_000, 5, 20.0)
    assert cost["terabytes_read"] == 10.8
    stops = limits(replace(BY_HAND, straggles=0.01))
    assert stops["references_one_process_builds"] == 8_000_000  # 0.8 of 1 GB, 100 bytes each
    assert stops["references_one_process_builds_in_32_gb"] == 318_000_000
    assert stops["species_a_router_compares_in_10_ms"] == 9_900
    assert stops["shards_asked_at_which_one_in_ten_answers_straggles"] == 10


def test_what_a_search_costs_is_found_again_in_figures_made_of_it() -> None:
    species, rows = [100, 2_000, 5_000, 900], [400, 9_000, 3_000, 16_000]

    fitted = fit_search(species, rows, [0.1 + 3e-5 * s + 4e-5 * r for s, r in zip(species, rows, strict=True)])

    assert fitted == pytest.approx((0.1, 3e-5, 4e-5))


def test_the_kept_result_is_what_the_kept_figures_give(kept: dict[str, Any]) -> None:
    figures = Figures(**kept["figures"])

    again = run(figures, queries=kept["queries"], seed=kept["seed"], sizes=(5_000_000,))

    assert again["rows"] == [row for row in kept["rows"] if row["references"] == 5_000_000]
    assert again["limits"] == kept["limits"]
    assert figures == read_figures()
    assert describe(kept) + "\n" == KEPT.with_suffix(".txt").read_text(encoding="utf-8")


def test_the_page_quotes_the_kept_result(kept: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")

    for row in kept["rows"]:
        if row["case"] in ("a shard a machine", "8 shards a machine", "8, genera first"):
            machines, latency = row["machines"], row["latency"]
            line = (
                f"| {row['references']:,} | {row['case']} | {machines['searching']} | {machines['shards']} "
                f"| {machines['terabytes']:.3f} | {latency['shards_asked']:.1f} | {latency['p50']:.1f} "
                f"| {latency['p99']:.1f} |"
            )
            assert line in page, line
    for references, cost in kept["reembedding"].items():
        line = (
            f"| {int(references):,} | {cost['core_hours']:,} | {cost['gpu_hours']:,} "
            f"| {cost['terabytes_read']:,} | {cost['port_hours']:,} |"
        )
        assert line in page, line
    for value in kept["limits"].values():
        assert f"{value:,}" in page, value
