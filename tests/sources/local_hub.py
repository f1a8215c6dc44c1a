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


class _Hub(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, *rest = [unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]
        if kind == "datasets" and len(rest) > 3:
            self._file("/".join(rest[:2]), rest[3], "/".join(rest[4:]))
        elif kind == "api" and rest[0] == "datasets" and len(rest) > 2:
            action, revision = (rest[3], rest[4]) if len(rest) > 4 else ("revision", "main")
            self._question("/".join(rest[1:3]), action, revision, "/".join(rest[5:]))
        else:
            self._answer(404)

    def _file(self, repository: str, revision: str, path: str) -> None:
        if repository not in REPOSITORIES:
            return self._answer(404, headers={"X-Error-Code": "RepoNotFound"})
        commit, files = _at(repository, revision)
        if path not in files:
            return self._answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        tag = hashlib.sha1(files[path]).hexdigest()
        return self._answer(200, files[path], headers={"X-Repo-Commit": commit, "ETag": f'"{tag}"'})

    def _question(self, repository: str, action: str, revision: str, folder: str) -> None:
        if repository not in REPOSITORIES:
            return self._answer(404, b"{}", headers={"X-Error-Code": "RepoNotFound"})
        commit, files = _at(repository, revision)
        if action == "revision":
            listing: Any = {"id": repository, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        else:
            listing = _listing(files, folder)
        return self._answer(200, json.dumps(listing).encode())

    def _answer(self, code: int, body: bytes = b"{}", *, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _at(repository: str, revision: str) -> tuple[str, Files]:
    files = REPOSITORIES[repository]
    if revision in ("refs/convert/parquet", COPY_COMMIT):
        return COPY_COMMIT, {name: content for name, content in files.items() if not name.endswith(".py")}
    return COMMIT, files


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
