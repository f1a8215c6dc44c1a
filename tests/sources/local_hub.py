"""A server on this machine that answers as the Hub does, over real HTTP, for a few small repositories."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

import polars as pl

from tests.sources.small_mirror import pairs

COMMIT, COPY_COMMIT = "0123456789abcdef0123456789abcdef01234567", "f" * 40

Files = Mapping[str, bytes]


def _parquet(columns: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(dict(columns)).write_parquet(buffer)
    return buffer.getvalue()


_README = b"---\nconfigs:\n- config_name: en\n  data_files:\n  - split: test\n    path: en/test-*\n---\n"
REPOSITORIES: Mapping[str, Files] = {
    "some/pairs": {"README.md": _README, "en/test-00000-of-00001.parquet": _parquet(pairs(6))},
    # A loading script on the main branch; the Parquet copy on its own branch lacks the script.
    "some/script": {"README.md": b"# script\n", "script.py": b"", "en/test/0000.parquet": _parquet(pairs(9))},
}
MODELS: Mapping[str, Files] = {
    "some/model": {
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "model.safetensors": bytes(range(256)) * 40,
        "pytorch_model.bin": b"a pickle",
        "modeling.py": b"raise SystemExit",
    },
    "some/pickled": {"config.json": b"{}", "pytorch_model.bin": b"a pickle"},
}
# From this many bytes on a file is told by its SHA-256, as those in large-file storage are.
LARGE = 1000

# What was asked for since a test cleared it: (path, the range that was asked for).
ASKED: list[tuple[str, str]] = []
# Path to how many bytes its next answer breaks off after.
CUT: dict[str, int] = {}


class _Hub(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, *rest = [unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]
        ASKED.append((self.path, self.headers.get("Range", "")))
        if kind == "datasets" and len(rest) > 3:
            self._file(REPOSITORIES, "/".join(rest[:2]), rest[3], "/".join(rest[4:]))
        elif rest[1:2] == ["resolve"]:
            self._file(MODELS, f"{kind}/{rest[0]}", rest[2], "/".join(rest[3:]))
        elif kind == "api" and rest[0] == "models":
            self._question(MODELS, "/".join(rest[1:3]), "revision", "main", "")
        elif kind == "api" and rest[0] == "datasets" and len(rest) > 2:
            action, revision = (rest[3], rest[4]) if len(rest) > 4 else ("revision", "main")
            self._question(REPOSITORIES, "/".join(rest[1:3]), action, revision, "/".join(rest[5:]))
        else:
            self._answer(404)

    def _file(self, kept: Mapping[str, Files], repository: str, revision: str, path: str) -> None:
        if repository not in kept:
            return self._answer(404, headers={"X-Error-Code": "RepoNotFound"})
        commit, files = _at(kept[repository], revision)
        if path not in files:
            return self._answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        tag = hashlib.sha1(files[path]).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{tag}"'}
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(files[path]) - 1}/{len(files[path])}"
        return self._answer(206 if start else 200, files[path][start:], headers=headers, most=CUT.pop(path, None))

    def _question(self, kept: Mapping[str, Files], repository: str, action: str, revision: str, folder: str) -> None:
        if repository not in kept:
            return self._answer(404, b"{}", headers={"X-Error-Code": "RepoNotFound"})
        commit, files = _at(kept[repository], revision)
        if action == "revision":
            siblings = [{"rfilename": name, **told(content)} for name, content in files.items()]
            listing: Any = {"id": repository, "sha": commit, "siblings": siblings}
        else:
            listing = _listing(files, folder)
        return self._answer(200, json.dumps(listing).encode())

    def _answer(
        self, code: int, body: bytes = b"{}", *, headers: Mapping[str, str] | None = None, most: int | None = None
    ) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:most])


def told(content: bytes) -> dict[str, Any]:
    """A file's size and digest, as the Hub tells them."""
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    if len(content) < LARGE:
        return {"size": len(content), "blobId": blob}
    large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return {"size": len(content), "blobId": "0" * 40, "lfs": large}


def _at(files: Files, revision: str) -> tuple[str, Files]:
    if revision in ("refs/convert/parquet", COPY_COMMIT):
        return COPY_COMMIT, {name: content for name, content in files.items() if name.endswith(".parquet")}
    scripted = any(name.endswith(".py") for name in files)
    return COMMIT, {name: files[name] for name in files if not (scripted and name.endswith(".parquet"))}


def _listing(files: Files, folder: str) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for name, content in files.items():
        if name.startswith(prefix):
            head, _, rest = name.removeprefix(prefix).partition("/")
            kind, size = ("directory", 0) if rest else ("file", len(content))
            entries[head] = {"type": kind, "path": prefix + head, "oid": "a" * 40, "size": size}
    return list(entries.values())


@contextmanager
def local_hub() -> Iterator[str]:
    """The address of the running server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
