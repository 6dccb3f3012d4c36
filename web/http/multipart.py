"""A tolerant parser of multipart forms: file names may be Latin-1, and malformed forms are reported as such.

Werkzeug's own parser returns an empty form instead, so that the client is told of missing photos.
"""

from __future__ import annotations

from typing import IO, Any, Final

from werkzeug.datastructures import FileStorage, Headers
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

AT_ONCE: Final = 64 * 1024  # bytes


class PartsDecoder(MultipartDecoder):
    """Decodes the headers of parts as UTF-8, or else as Latin-1, which old scripts and tools send."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(decode_text(data).encode())


def decode_text(data: bytes | bytearray) -> str:
    """Decode text as UTF-8, or else as Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


class PartsParser(FormDataParser):
    """Parses a whole form, within the limits of text and parts. Raises BadRequest, RequestEntityTooLarge."""

    def _parse_multipart(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str]
    ) -> Any:
        boundary = options.get("boundary", "")
        if not boundary.isascii() or not boundary:
            raise BadRequest(
                "The header Content-Type names no boundary, such as `multipart/form-data; boundary=x`: "
                "leave that header to the library that makes the form."
            )
        decoder = PartsDecoder(
            boundary.encode(), max_form_memory_size=self.max_form_memory_size, max_parts=self.max_form_parts
        )
        try:
            fields, files = self._read_parts(decoder, stream)
        except ValueError as error:
            raise BadRequest(
                f"The form cannot be read: it has no part that begins with `--{boundary[:70]}`, or is cut short."
            ) from error
        return stream, self.cls(fields), self.cls(files)

    def _read_parts(
        self, decoder: MultipartDecoder, stream: IO[bytes]
    ) -> tuple[list[tuple[str, str]], list[tuple[str, FileStorage]]]:
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        part: Field | File | None = None
        content: IO[bytes] = self.stream_factory(None, None, None)
        began = False
        while True:
            portion = stream.read(AT_ONCE)
            if not portion and not began:
                return fields, files  # an empty body is not a malformed form
            began = True
            decoder.receive_data(portion or None)
            while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
                if isinstance(event, Field | File):
                    part, content = event, self.stream_factory(None, None, None)
                elif isinstance(event, Data) and part is not None:
                    content.write(event.data)
                    if isinstance(part, Field) and content.tell() > (self.max_form_memory_size or content.tell()):
                        raise RequestEntityTooLarge
                    if not event.more_data:
                        content.seek(0)
                        if isinstance(part, File):
                            files.append(
                                (part.name, FileStorage(content, part.filename, part.name, headers=part.headers))
                            )
                        else:
                            fields.append((part.name, decode_text(content.read())))
            if not portion:
                return fields, files
