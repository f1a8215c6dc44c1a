"""Bytes and values inside an HTML file: compressed for the browser's DecompressionStream, and escaped."""

import base64
import json
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from markupsafe import Markup

# Steps of a probability: half a percent each, so that one byte holds it.
STEPS = 200
# Stands for "there is none" in a byte.
NONE = 255

Bytes = npt.NDArray[np.uint8]


def packed(content: bytes) -> str:
    """Content in zlib's format (`deflate` to a browser) as base64, which is safe in any part of a page."""
    return base64.b64encode(zlib.compress(content, level=9)).decode("ascii")


def json_script(value: Any) -> Markup:
    """A value as JSON for a `<script>`: no tag, comment or entity begins in it, whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def probabilities(scores: pl.Series) -> Bytes:
    """Logits, one list an answer, as softmax probabilities in steps of half a percent.

    (answers, classes) bytes, 0-200 (STEPS); 255 (NONE) where an answer has fewer classes than another, and where a
    logit is no finite number.
    """
    width = int(scores.list.len().max() or 0)  # type: ignore[arg-type]
    columns = [scores.list.get(place, null_on_oob=True).cast(pl.Float64).to_numpy() for place in range(width)]
    if not columns:
        return np.full((len(scores), 0), NONE, dtype=np.uint8)
    logits = np.stack(columns, axis=-1)
    inside = np.arange(width) < scores.list.len().fill_null(0).to_numpy()[:, None]
    whole = ~(inside & ~np.isfinite(logits)).any(axis=-1, keepdims=True)
    shown = np.where(inside & whole, logits, -np.inf)
    peak = shown.max(axis=-1, keepdims=True)
    raised = np.exp(shown - np.where(np.isfinite(peak), peak, 0.0))
    total = raised.sum(axis=-1, keepdims=True)
    steps = np.rint(STEPS * raised / np.where(total > 0, total, 1.0))
    return np.where(inside & whole, steps, NONE).astype(np.uint8)
