"""The catalogue of known networks: which there are, their licences, how to get each, and what to expect of it.

The data are in `catalogue.toml`, beside this module. Reading them downloads nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from retrieval.errors import ModelError, UnknownModel
from retrieval.models.embedder import DIM

FILE: Final = Path(__file__).with_suffix(".toml")
KINDS: Final = {"str": str, "int": int, "float": (int, float), "bool": bool}


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A network that people can fetch. What is `measured` was measured with this program, what is `published` was not.

    Raises ModelError for a value of the wrong type or out of range.
    """

    name: str
    handle: str
    width: int  # numbers per view before a head
    side: int  # pixels of the input
    licence: str  # SPDX, without a version where none was stated
    open: bool  # whether the licence allows any use
    trained_on: str
    get: str
    source: str  # URL
    parameters: float = 0.0  # millions; 0: unknown
    megabytes: float = 0.0  # of the download; 0: unknown
    measured: str = ""
    published: str = ""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            kind = KINDS[str(entry.type)]
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):  # type: ignore[arg-type]
                raise ModelError(f"the catalogue of models: {entry.name} of {self.name!r} must be {entry.type}")
            if entry.default is MISSING and value in {"", 0} and not isinstance(value, bool):
                raise ModelError(f"the catalogue of models: {self.name!r} has no {entry.name}")
        if min(self.width, self.side) < 0 or min(self.parameters, self.megabytes) < 0:
            raise ModelError(f"the catalogue of models: a size of {self.name!r} is negative")
        if not self.source.startswith("https://"):
            raise ModelError(f"the catalogue of models: the source of {self.name!r} must be an https URL")

    @property
    def needs_head(self) -> bool:
        """Whether a head has to be fitted before an index can hold its embeddings; those of pip bring one."""
        return self.width != DIM and not self.handle.startswith("lite")

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON values; sizes that are unknown are null."""
        values = {**asdict(self), "parameters": self.parameters or None, "megabytes": self.megabytes or None}
        values["trainedOn"] = values.pop("trained_on")
        return {**values, "needsHead": self.needs_head}


@cache
def known_models(path: Path = FILE) -> tuple[KnownModel, ...]:
    """Read the catalogue, in the order of the file; raises ModelError where it is damaged or a name occurs twice."""
    try:
        entries: list[Mapping[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["model"]
        models = tuple(KnownModel(**entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the catalogue of models {path} cannot be read: {error}") from error
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ModelError(f"the catalogue of models has {twice[0]!r} twice")
    return models


def find_known(name: str) -> KnownModel:
    """Return a model by its name or handle; raises UnknownModel."""
    for model in known_models():
        if name in {model.name, model.handle}:
            return model
    raise UnknownModel(
        f"the catalogue has no model {name!r}; it has: {', '.join(model.name for model in known_models())}"
    )


def select_models(
    models: Iterable[KnownModel], *, licence: str = "any", megabytes: float | None = None
) -> list[KnownModel]:
    """Return the models of a licence and size.

    `licence` is "any", "open" for those that allow any use, or the beginning of an SPDX name in any case, such as
    "apache". Of models of unknown size none fits `megabytes`.
    """
    wanted = licence.casefold()
    return [
        model
        for model in models
        if (wanted == "any" or (model.open if wanted == "open" else model.licence.casefold().startswith(wanted)))
        and (megabytes is None or 0 < model.megabytes <= megabytes)
    ]
