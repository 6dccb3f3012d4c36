"""Alert rules and dashboard use metrics and labels that a server gives, and the documentation names each alert."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from web.http.metrics import Metrics

ROOT = Path(__file__).resolve().parents[1]
ALERTS, DASHBOARD = (
    ROOT / "deployment" / "prometheus" / "alerts.yaml",
    ROOT / "deployment" / "grafana" / "fungarium.json",
)
OUTSIDE = {"up": {"job"}}
ADDED = {"instance", "job"}
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


def given_metrics() -> dict[str, set[str]]:
    """Names as Prometheus reads them, with their labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[str(metric._type)]:
                found[metric._name + suffix] = set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
    return found


def read_alerts() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    groups: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def read_panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return panels


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in read_alerts())
    yield from (target["expr"] for panel in read_panels() for target in panel["targets"])


def test_every_expression_asks_for_metrics_and_labels_that_there_are() -> None:
    given = given_metrics() | OUTSIDE
    for expression in expressions():
        names = set(re.findall(r"\b(?:fungarium_\w+|up)\b", expression))
        labels = {label.strip() for listed in re.findall(r"by \(([^)]*)\)", expression) for label in listed.split(",")}
        labels |= set(re.findall(r"(\w+)=~?\"", expression))

        assert names, expression
        assert names <= given.keys(), expression
        assert all(labels <= given[name] | ADDED for name in names), expression
        assert expression.count("(") == expression.count(")")


def test_the_route_of_identifications_is_named() -> None:
    routes = {route for expression in expressions() for route in re.findall(r'route="([^"]*)"', expression)}

    assert routes == {"/api/v1/identify"}


def test_every_alert_has_words_and_a_line_in_the_documentation() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for rule in read_alerts():
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert f"`{rule['alert']}`" in operations


def test_panels_have_titles_and_places_of_their_own() -> None:
    panels = read_panels()

    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
