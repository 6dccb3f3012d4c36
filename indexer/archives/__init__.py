"""Archives: from a source as a person names it to records and rejections, one by one."""

from indexer.archives.reading import KINDS, detect_kind, read_archive

__all__ = ["KINDS", "detect_kind", "read_archive"]
