"""Read by hatchling when it builds the package: its dependencies and extras are those of the requirements files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

EXTRAS = ("atlas", "evaluation", "int8", "postgresql", "ray", "redis", "s3", "tfhub", "timm", "train")
"""Not `gpu`, which takes the place of faiss-cpu; `dev` and `pages` are for a checkout."""


class RequirementsHook(MetadataHookInterface):
    """Fills in what pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["dependencies"] = self.read("requirements.txt")
        metadata["optional-dependencies"] = {name: self.read(f"requirements-{name}.txt") for name in EXTRAS}

    def read(self, name: str) -> list[str]:
        """The requirements of a file, without comments and without those that every file builds on."""
        lines = (Path(self.root) / name).read_text(encoding="utf-8").splitlines()
        stated = [line.partition("#")[0].strip() for line in lines]
        return [line for line in stated if line and not line.startswith("-r ")]
