"""Archive readers: from a source (file, folder or URL) to a stream of records and rejected records."""

from indexer.archives.reading import KINDS, detect_kind, read_archive

__all__ = ["KINDS", "detect_kind", "read_archive"]
