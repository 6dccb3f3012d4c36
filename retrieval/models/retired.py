"""Models that earlier versions included, and what a collection embedded with one of them needs."""

from __future__ import annotations

from typing import Final

RETIRED: Final = {"fungarium_small": "the network trained on drawings, which was `default` and is no longer included"}
"""What a model was, by its name before the @."""


def describe_mismatch(made_with: str, own: str) -> str:
    """Say in one sentence why references made with one model cannot answer for another, and what to do about it."""
    was = RETIRED.get(made_with.partition("@")[0])
    if was is None:
        return (
            f"made with the model {made_with}, but {own} is open; "
            "choose that model, or embed and publish anew with this one"
        )
    return (
        f"made with {made_with}, {was}: run `fungarium index embed`, `index build`, `index publish`, "
        f"`evaluate calibrate` and `index publish` once, for {own}"
    )
