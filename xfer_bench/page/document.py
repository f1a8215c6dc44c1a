"""The HTML file: templates filled in, with styles, scripts and data inside and a policy that lets nothing else in."""

import base64
import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import polars as pl
from markupsafe import Markup

from xfer_bench import __version__
from xfer_bench.page.contents import Contents, contents
from xfer_bench.page.packing import json_script
from xfer_bench.page.subject import Subject
from xfer_bench.report.sheets import safe

if TYPE_CHECKING:
    from jinja2 import Environment

# In the order in which they run.
_SCRIPTS = ("tables.js", "unpacking.js", "explorer.js")
_STYLE = "report.css"
# Pixels for a point, and for a picture that does not tell its width.
_MAGNIFIED = 2.0
_WIDEST = 900


def report(subject: Subject) -> bytes:
    """The report as one HTML file in UTF-8: the same bytes for the same results, and no address that is fetched.

    Raises SourceError when texts were asked for and cannot be had, ResultsError for results that fit no report.
    """
    return page(contents(subject))


def page(shown: Contents) -> bytes:
    """The file for what it is to show."""
    style, script = _asset(_STYLE), "\n".join(map(_asset, _SCRIPTS))
    facts = {
        **shown.explorer.facts,
        "names": shown.names,
        "texts": shown.texts is not None,
        "baseline": str(dict(shown.methods.settings).get("baseline", "")),
    }
    text = _templates().get_template("report.html").render(
        shown=shown,
        version=__version__,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        facts=json_script(facts),
        blobs={**shown.explorer.blobs, **(shown.texts.blobs if shown.texts else {})},
    )  # fmt: skip
    return text.encode()


def _policy(style: str, script: str) -> str:
    """Nothing is fetched, sent or framed; of scripts and styles only our own run, known by their digests."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


@lru_cache(maxsize=8)
def _asset(name: str) -> str:
    return files("xfer_bench.page").joinpath("assets", name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("xfer_bench.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["svg_address"] = _svg_address
    made.filters["svg_width"] = _svg_width
    made.filters["minus"] = _minus
    made.filters["csv_address"] = _csv_address
    return made


def _minus(text: str) -> str:
    """With real minus signs before numbers; hyphens in names stay."""
    return re.sub(r"(?<![\w.-])-(?=[\d.])", "−", text)


def _svg_address(content: bytes) -> str:
    """A picture as an address. Inside an `<img>` nothing in it can run or be fetched, whatever it holds."""
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"


def _svg_width(content: bytes) -> int:
    """Pixels of a picture that was made for paper, so that its text is as large as ours."""
    found = re.search(rb'<svg[^>]*? width="([0-9.]+)pt"', content)
    return round(_MAGNIFIED * float(found.group(1))) if found else _WIDEST


def _csv_address(numbers: pl.DataFrame) -> str:
    """A table as an address to download; text that a spreadsheet would take for a formula is marked as text."""
    texts = pl.col(pl.String).map_elements(safe, return_dtype=pl.String)
    table = numbers.with_columns(texts).rename(safe).write_csv()
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(table.encode()).decode()}"
