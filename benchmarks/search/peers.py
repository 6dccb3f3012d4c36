"""Other methods of searching floras behind one interface: `bytes`, and `search(flora, queries, k)` -> rows."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import DIM, Embeddings

IP = faiss.METRIC_INNER_PRODUCT
Floras = Mapping[str, NDArray[np.int64]]  # rows of each, ascending


class Peer(Protocol):
    """A method of searching floras."""

    bytes: int

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        """Return rows of the collection, (views, k)."""
        ...


def size_of(index: Any) -> int:
    """Return the serialised size of a FAISS index in bytes."""
    writer = faiss.VectorIOWriter()
    faiss.write_index(index, writer)
    return int(writer.data.size())


class FlatBitmap:
    """One flat float16 index for all references, with a bitmap selector for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        self.index = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, IP)
        self.index.is_trained = True
        self.index.add_sa_codes(np.ascontiguousarray(rows).view(np.uint8))
        self.bits, self.bytes = {}, len(rows) * 2 * DIM
        for flora, members in floras.items():
            mask = np.zeros(len(rows), dtype=bool)
            mask[members] = True
            self.bits[flora] = np.packbits(mask, bitorder="little")
            self.bytes += len(self.bits[flora])

    def parameters(self, flora: str) -> Any:
        """Return search parameters that select the flora."""
        return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(self.bits[flora]))

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        return np.asarray(self.index.search(queries, k, params=self.parameters(flora))[1])


class IvfBitmap(FlatBitmap):
    """One float16 IVF index with k-means lists, with a bitmap selector for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        super().__init__(rows, floras)
        lists = 1024 if len(rows) >= 500_000 else 256
        quantiser = faiss.IndexFlatIP(DIM)
        index = faiss.IndexIVFScalarQuantizer(quantiser, DIM, lists, faiss.ScalarQuantizer.QT_fp16, IP, False)
        index.cp.niter = 5
        sample = np.random.default_rng(0).choice(len(rows), min(len(rows), 40 * lists), replace=False)
        index.train(rows[sample].astype(np.float32))
        for start in range(0, len(rows), 100_000):
            index.add(rows[start : start + 100_000].astype(np.float32))
        self.quantiser, self.index = quantiser, index
        self.bytes += 8 * len(rows) + 4 * DIM * lists

    def parameters(self, flora: str) -> Any:
        return faiss.SearchParametersIVF(nprobe=96, sel=faiss.IDSelectorBitmap(self.bits[flora]))


class FlatPerFlora:
    """A flat index at float16 for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        self.members, self.indexes, self.bytes = floras, {}, 0
        for flora, members in floras.items():
            index = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, IP)
            index.is_trained = True
            index.add_sa_codes(np.ascontiguousarray(rows[members]).view(np.uint8))
            self.indexes[flora] = index
            self.bytes += len(members) * (2 * DIM + 8)

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        return np.asarray(self.members[flora][self.indexes[flora].search(queries, k)[1]])


class FastScanPerFlora:
    """PQ fast-scan of 32 bytes for each flora, re-ranked at float16 by FAISS (IndexRefine)."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras, depth: int = 1200) -> None:
        self.members, self.indexes, self.bytes, self.depth = floras, {}, 0, depth
        for flora, members in floras.items():
            own = rows[members]
            first = faiss.IndexPQFastScan(DIM, 64, 4, IP)
            sample = np.random.default_rng(0).choice(len(own), min(len(own), 32_768), replace=False)
            first.train(own[sample].astype(np.float32))
            second = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, IP)
            second.is_trained = True
            index = faiss.IndexRefine(first, second)
            index.is_trained = True
            for start in range(0, len(own), 100_000):
                index.add(own[start : start + 100_000].astype(np.float32))
            self.indexes[flora] = (index, first, second)
            self.bytes += len(members) * (2 * DIM + 32 + 8)

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        parameters = faiss.IndexRefineSearchParameters(k_factor=self.depth / k)
        return np.asarray(self.members[flora][self.indexes[flora][0].search(queries, k, params=parameters)[1]])


class HnswPerFlora:
    """An HNSW graph over float16 for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        self.members, self.indexes, self.bytes = floras, {}, 0
        for flora, members in floras.items():
            index = faiss.IndexHNSWSQ(DIM, faiss.ScalarQuantizer.QT_fp16, 32, IP)
            index.is_trained = True
            index.hnsw.efConstruction = 80
            faiss.omp_set_num_threads(2)
            index.add(rows[members].astype(np.float32))
            self.indexes[flora] = index
            self.bytes += size_of(index) + 8 * len(members)

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        parameters = faiss.SearchParametersHNSW(efSearch=256)
        return np.asarray(self.members[flora][self.indexes[flora].search(queries, k, params=parameters)[1]])


class ScannPerFlora:
    """A ScaNN searcher for each flora, re-ranking at bfloat16, tuned for a recall@50 of about 0.99."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras, depth: int = 1000) -> None:
        from scann.scann_ops.py import scann_ops_pybind

        self.members, self.searchers, self.bytes = floras, {}, 0
        for flora, members in floras.items():
            leaves = max(1, int(np.sqrt(len(members))))
            self.searchers[flora] = (
                scann_ops_pybind.builder(rows[members].astype(np.float32), 50, "dot_product")
                .tree(leaves, max(1, leaves // 2), training_sample_size=min(len(members), 100_000))
                .score_ah(2, anisotropic_quantization_threshold=0.2)
                .reorder(min(depth, len(members)), quantize="bfloat16")
                .set_n_training_threads(2)
                .build()
            )
            self.bytes += len(members) * (2 * DIM + DIM // 4 + 8)  # bf16, codes and ids, without the tree

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        for line, query in zip(rows, queries, strict=True):
            found = self.searchers[flora].search(query, final_num_neighbors=k)[0]
            line[: len(found)] = self.members[flora][found.astype(np.int64)]
        return rows


class UsearchPerFlora:
    """A usearch graph over float16 for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        from usearch.index import Index

        self.members, self.indexes, self.bytes = floras, {}, 0
        for flora, members in floras.items():
            index = Index(ndim=DIM, metric="ip", dtype="f16", connectivity=16, expansion_add=96, expansion_search=256)
            index.add(np.arange(len(members)), rows[members], threads=2)
            self.indexes[flora] = index
            self.bytes += index.memory_usage + 8 * len(members)

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        found = [self.indexes[flora].search(query, k, threads=1).keys for query in queries]
        return self.members[flora][np.stack(found).astype(np.int64)]


class HnswlibFiltered:
    """One hnswlib graph for all references, with a Python filter function for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=DIM)
        self.index.init_index(max_elements=len(rows), M=16, ef_construction=100)
        self.index.add_items(rows.astype(np.float32), np.arange(len(rows)), num_threads=2)
        self.index.set_ef(200)
        self.masks = {flora: np.isin(np.arange(len(rows)), members) for flora, members in floras.items()}
        self.bytes = len(rows) * (4 * DIM + 16 * 2 * 4 + 24) + sum(mask.nbytes // 8 for mask in self.masks.values())

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        mask = self.masks[flora]
        found = self.index.knn_query(queries, k, num_threads=1, filter=lambda row: bool(mask[row]))[0]
        return np.asarray(found, dtype=np.int64)


class MilvusLite:
    """Milvus-lite with a flat index for all references and a Boolean filter field for each flora."""

    def __init__(self, rows: NDArray[np.float16], floras: Floras) -> None:
        from pymilvus import DataType, MilvusClient

        self.folder = TemporaryDirectory()
        self.client = MilvusClient(f"{self.folder.name}/milvus.db")
        self.fields = {flora: f"f{number}" for number, flora in enumerate(floras)}
        schema = self.client.create_schema()
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=DIM)
        for field in self.fields.values():
            schema.add_field(field, DataType.BOOL)
        index = self.client.prepare_index_params()
        index.add_index("embedding", index_type="FLAT", metric_type="IP")
        self.client.create_collection("rows", schema=schema, index_params=index)
        masks = {self.fields[flora]: np.isin(np.arange(len(rows)), members) for flora, members in floras.items()}
        for start in range(0, len(rows), 2_000):
            block = rows[start : start + 2_000].astype(np.float32)
            lines = [
                {"row": start + n, "embedding": row, **{field: bool(mask[start + n]) for field, mask in masks.items()}}
                for n, row in enumerate(block)
            ]
            self.client.insert("rows", lines)
        self.bytes = sum(path.stat().st_size for path in Path(self.folder.name).rglob("*") if path.is_file())

    def search(self, flora: str, queries: Embeddings, k: int) -> NDArray[np.int64]:
        found = self.client.search("rows", list(queries), limit=k, filter=f"{self.fields[flora]} == true")
        numbers = [[hit["row"] for hit in line] + [-1] * (k - len(line)) for line in found]
        return np.array(numbers, dtype=np.int64)


PEERS: dict[str, tuple[type, str]] = {
    "FAISS flat fp16 + IDSelectorBitmap": (FlatBitmap, "faiss"),
    "FAISS flat fp16 per flora": (FlatPerFlora, "faiss"),
    "FAISS PQ fast-scan + fp16 per flora": (FastScanPerFlora, "faiss"),
    "FAISS IVF fp16 + IDSelectorBitmap": (IvfBitmap, "faiss"),
    "FAISS HNSW fp16 per flora": (HnswPerFlora, "faiss"),
    "ScaNN bf16 per flora": (ScannPerFlora, "scann"),
    "usearch fp16 per flora": (UsearchPerFlora, "usearch"),
    "hnswlib with a filter": (HnswlibFiltered, "hnswlib"),
    "Milvus-lite, flat with a filter": (MilvusLite, "milvus_lite"),
}


def installed(name: str) -> bool:
    """Return whether a peer's package is installed."""
    return importlib.util.find_spec(PEERS[name][1]) is not None
