"""Damaged texts: wrongly decoded, control characters, markup left over, or written in another script."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import polars as pl

from xfer_bench.audit.findings import Finding, Grade
from xfer_bench.audit.sheet import Sheet, counted, own_words

_SCRIPTS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("bg", "ru", "uk", "mk", "kk"), r"\p{Cyrillic}"),
        **dict.fromkeys(("ar", "fa", "ur"), r"\p{Arabic}"),
        **dict.fromkeys(("hi", "mr"), r"\p{Devanagari}"),
        **dict.fromkeys(
            (
                *("af", "cs", "da", "de", "en", "es", "et", "eu", "fi", "fr", "hr", "ht", "hu", "id", "it", "jv", "lt"),
                *("nl", "no", "pl", "pt", "qu", "ro", "sk", "sl", "sq", "sv", "sw", "tl", "tr", "vi"),
            ),
            r"\p{Latin}",
        ),
        "sr": r"\p{Cyrillic}\p{Latin}",  # written in both
        "el": r"\p{Greek}",
        "th": r"\p{Thai}",
        "ta": r"\p{Tamil}",
        "te": r"\p{Telugu}",
        "ml": r"\p{Malayalam}",
        "bn": r"\p{Bengali}",
        "ka": r"\p{Georgian}",
        "he": r"\p{Hebrew}",
        "ko": r"\p{Hangul}",
        "zh": r"\p{Han}",
        "ja": r"\p{Han}\p{Hiragana}\p{Katakana}ー",
    }
)

# UTF-8 that was read as Windows-1252 or Latin-1, as it looks then; and the sign of what could not be decoded.
_MOJIBAKE = (
    "\ufffd|[ÃÂ][\u0080-\u00bf]|â€|â\u0080|[ÐÑ][\u0080-\u00bf‚„…†‡€‰Š‹ŒŽ‘’“”•–—™š›œžŸ]|ï»¿|à[¤¥¸¹][\u0080-\u00bf]"
)
_CONTROL = r"[\p{Cc}&&[^\t\n\r]]"
_INVISIBLE = "[\u200b\u2060\ufeff\u00ad\ue000-\uf8ff]"
_MARKUP = r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,5}|#x[0-9a-fA-F]{1,5});|</?(?:br|p|b|i|sub|sup|div|span|font)\s*/?>"

_KINDS: tuple[tuple[str, str, Grade], ...] = (
    ("look wrongly decoded (mojibake or U+FFFD)", _MOJIBAKE, "warning"),
    ("hold control characters", _CONTROL, "note"),
    ("hold invisible or private-use characters", _INVISIBLE, "note"),
    ("hold markup or character entities", _MARKUP, "note"),
)
# One character says what about so many Latin letters say.
_WEIGHTS = MappingProxyType({"zh": 4, "ja": 3, "ko": 3})
# Texts with so many letters of another script are looked at; such a share of rows may be foreign without a warning.
_LETTERS = 15
_SHARE = 0.01


def check_damage(sheet: Sheet) -> Iterator[Finding]:
    """Texts and candidates that look damaged, and rows most of whose letters are not of the language's script."""
    rows = sheet.usable.with_columns(own=own_words(), others=pl.col("candidates").list.join("\n")).with_columns(
        said=pl.concat_str("own", "others", separator="\n")
    )
    # One pass for what most rows have none of.
    suspects = rows.filter(pl.col("said").str.contains("|".join(pattern for _, pattern, _ in _KINDS)))
    for what, pattern, grade in _KINDS:
        damaged = suspects.filter(pl.col("said").str.contains(pattern))
        if damaged.height:
            yield sheet.finding(grade, "encoding", f"{counted(damaged.height, 'row', rows.height)} {what}", damaged)
    if sheet.language not in _SCRIPTS:
        return
    suspects = rows.filter(pl.col("said").str.contains(rf"[\p{{L}}&&[^{_SCRIPTS[sheet.language]}]]{{3}}"))
    foreign = suspects.filter(_is_foreign("own", sheet.language) | _is_foreign("others", sheet.language))
    if foreign.height:
        grade = "warning" if foreign.height > _SHARE * rows.height else "note"
        message = f"{counted(foreign.height, 'row', rows.height)} have a text or candidates mostly in another script"
        yield sheet.finding(grade, "script", message, foreign)


def _is_foreign(column: str, language: str) -> pl.Expr:
    """Whether most of a column's letters are of another script: a name or two in Latin letters are not enough."""
    letters = pl.col(column).str.replace_all(r"[^\p{L}]+", "")
    ours = letters.str.replace_all(f"[^{_SCRIPTS[language]}]+", "").str.len_chars()
    foreign = letters.str.len_chars() - ours
    return (foreign >= _LETTERS) & (foreign > ours * _WEIGHTS.get(language, 1))
