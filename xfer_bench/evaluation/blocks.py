"""Blocks: immutable Parquet files of predictions, each named by the SHA-256 of its bytes.

    blocks/ab/abcd…/<SHA-256>.parquet       ab/abcd…: the digest of what scores (weights, tokenizer, code, precision)

A row knows the digest of the row that was scored (`row`), so any block answers for the rows that it holds, whatever
request they were scored for. A block may also list the columns (task and language, by fingerprint of their rows) that
it holds whole and in order, which spares whoever asks for them the reading of the rows. Files come and go whole:
a reader sees all of a block or none, and a bit that flips later changes the digest.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import polars as pl

from xfer_bench.durable import write_bytes
from xfer_bench.errors import ResultsError
from xfer_bench.frames import BLOCK, Columns, conform

STORED: Columns = {"row": pl.Binary(), **BLOCK}

_METADATA = "xfer_bench"
# How often a listing is repeated when another process replaces blocks meanwhile.
_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A column that a block holds whole: `height` rows from `start` on, in the order of the rows."""

    task: str
    variant: str
    split: str
    language: str
    fingerprint: str
    start: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """A verified block.

    payload: the bytes of its file; code: digest of the code that scored it; sealed: the columns that it holds whole.
    """

    path: Path
    payload: bytes
    code: str
    sealed: tuple[Sealed, ...]

    def frame(self) -> pl.DataFrame:
        """STORED."""
        return pl.read_parquet(BytesIO(self.payload))


class Blocks:
    """All blocks in a folder. warn: told of a block that is damaged, which is removed so that it is scored again."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._warn = warn

    def add(self, scorer: str, rows: pl.DataFrame, *, code: str, sealed: Sequence[Sealed] = ()) -> Path:
        """Write STORED rows as a block of this scorer, whole or not at all.

        code: digest of the code that scores, so that what no code can ask for any more is known. Raises OSError.
        """
        # Into memory first: on a full disk polars leaves an empty file under the last name.
        buffer = BytesIO()
        note = json.dumps({"code": code, "sealed": [asdict(one) for one in sealed]})
        conform(rows, STORED).write_parquet(buffer, metadata={_METADATA: note}, statistics=False)
        payload = buffer.getvalue()
        path = self._of(scorer) / f"{_digest(payload)}.parquet"
        write_bytes(path, payload)
        return path

    def files(self, scorer: str) -> list[Path]:
        """The files of a scorer's blocks, sorted."""
        return sorted(self._of(scorer).glob("[!.]*.parquet"))

    def load(self, scorer: str) -> list[Block]:
        """The scorer's blocks, each verified against its name. A damaged one is removed, with a warning."""
        found: dict[Path, Block | None] = {}
        for _ in range(_ATTEMPTS):
            listed = self.files(scorer)
            for path in listed:
                if path not in found:
                    with suppress(FileNotFoundError):
                        found[path] = self._verified(path)
            if all(path in found for path in listed):
                break
            # Another process has put several blocks together into one meanwhile: look where their rows are now.
        return [block for _, block in sorted(found.items()) if block is not None]

    def scorers(self) -> Iterator[str]:
        """The digests of all scorers that have blocks."""
        for folder in sorted(self.folder.glob("??/*")):
            if folder.is_dir():
                yield folder.name

    def remove(self, paths: Sequence[Path]) -> None:
        """Remove block files; those that are gone already are no error."""
        for path in paths:
            path.unlink(missing_ok=True)

    def whole(self, path: Path) -> bool:
        """Whether the file holds what its name says. Raises OSError."""
        return _digest(path.read_bytes()) == path.stem

    def _verified(self, path: Path) -> Block | None:
        payload = path.read_bytes()  # outside: a file that is gone is not damaged
        try:
            if _digest(payload) != path.stem:
                raise ResultsError("its checksum is wrong")
            note = json.loads(pl.read_parquet_metadata(BytesIO(payload))[_METADATA])
            sealed = tuple(Sealed(**one) for one in note["sealed"])
            return Block(path=path, payload=payload, code=note["code"], sealed=sealed)
        except (pl.exceptions.PolarsError, OSError, ValueError, KeyError, TypeError, ResultsError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            self._warn(f"{path} is damaged ({reason}); removed, and what it held is scored again")
            path.unlink(missing_ok=True)
            return None

    def _of(self, scorer: str) -> Path:
        return self.folder / scorer[:2] / scorer


def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
