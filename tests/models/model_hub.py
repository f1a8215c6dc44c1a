"""A server on this machine that answers as the Hub does for models that lie in folders, over real HTTP."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

COMMITS: Mapping[str, str] = {"main": "0123456789abcdef0123456789abcdef01234567", "v1": "89" * 20}


class _Hub(BaseHTTPRequestHandler):
    def __init__(self, *args: Any, folders: Mapping[str, Path]) -> None:
        self.folders = folders
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = [unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]
        asked = parts[2:] if parts[:2] == ["api", "models"] else parts
        repository, rest = "/".join(asked[:2]), asked[2:]
        revision = rest[1] if len(rest) > 1 else "main"
        commit = COMMITS.get(revision, revision)
        folder = self.folders.get(f"{repository}@{next((n for n, c in COMMITS.items() if c == commit), '')}")
        if folder is None:
            known = any(name.startswith(f"{repository}@") for name in self.folders)
            self._answer(404, headers={"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})
        elif rest[:1] == ["tree"]:
            sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
            tree = [{"type": "file", "path": name, "oid": "a" * 40, "size": size} for name, size in sizes.items()]
            self._answer(200, json.dumps(tree).encode())
        elif parts[:2] == ["api", "models"]:
            files = [{"rfilename": file.name} for file in sorted(folder.iterdir())]
            self._answer(200, json.dumps({"id": repository, "sha": commit, "siblings": files}).encode())
        elif len(rest) == 3 and (folder / rest[2]).is_file():
            content = (folder / rest[2]).read_bytes()
            tag = hashlib.sha1(content).hexdigest()
            self._answer(200, content, headers={"X-Repo-Commit": commit, "ETag": f'"{tag}"'})
        else:
            self._answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})

    def _answer(self, code: int, body: bytes = b"{}", *, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def model_hub(folders: Mapping[str, Path]) -> Iterator[str]:
    """The address of the running server. folders: where each `owner/name@revision` lies."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, folders=folders)) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
