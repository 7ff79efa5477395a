"""Arrow files, as `save_to_disk` of Hugging Face's `datasets` leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from selfinstruct.errors import DataError
from selfinstruct.formats.files import Row, opened
from selfinstruct.formats.parquet import plain_rows

MAGIC = (b"\xff\xff\xff\xff", b"ARROW1")  # a stream of batches, a file of them


def rows(path: Path) -> Iterator[Row]:
    """Rows as plain JSON values, as from Parquet. Raises DataError if the file is damaged."""
    import pyarrow
    import pyarrow.ipc

    with opened(path) as file:
        try:
            if file.read(6).startswith(MAGIC[1]):
                file.seek(0)
                whole = pyarrow.ipc.open_file(file)
                yield from plain_rows(path, map(whole.get_batch, range(whole.num_record_batches)))
            else:
                file.seek(0)
                yield from plain_rows(path, pyarrow.ipc.open_stream(file))
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{path}: is no readable Arrow file: {error}", "save the dataset again"
            ) from error
