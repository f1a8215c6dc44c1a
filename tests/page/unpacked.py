"""Reads what a report embeds, as its script does."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import numpy as np

from xfer_bench.page.packing import Bytes


class Parsed(HTMLParser):
    """Elements of a page. tags: names and attributes; texts: by the id of the script that holds it."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.said: list[str] = []
        self._inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self._inside = tag
        if tag == "script":
            self._script = given.get("id") or ""
            self.scripts[self._script] = ""

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the signature is the parser's
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[self._script] += data
        elif self._inside != "style":
            self.said.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.said))

    @property
    def facts(self) -> dict[str, Any]:
        """The explorer's facts."""
        found: dict[str, Any] = json.loads(self.scripts["facts"])
        return found

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of these elements."""
        return [attributes for name, attributes in self.tags if name == tag]


def unpacked(content: str) -> bytes:
    """The bytes of a blob."""
    return zlib.decompress(base64.b64decode(content))


def column(content: str, *shape: int) -> Bytes:
    """A blob as numbers of this shape."""
    return np.frombuffer(unpacked(content), dtype=np.uint8).reshape(shape)
