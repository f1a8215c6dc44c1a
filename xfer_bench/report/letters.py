"""Text that LaTeX sets as it is, whatever stands in it, with every engine and encoding of fonts."""

import unicodedata
from collections.abc import Iterator, Mapping

# A place where a line may end, and what has one behind it.
_BREAK = r"\allowbreak{}"
_ENDS = " _-/:+"
# Letters without such a place, and fewer of them where a sign is among them.
_LONGEST = 20
_SIGNS = 8

_SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Babel makes it active in some languages.
    '"': r"{\char34}",
    # After the end of a row these would be its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"\textpm{}",
    "×": r"\texttimes{}",
    "÷": r"\textdiv{}",
    "−": r"\textminus{}",
    "–": "--",
    "—": "---",
    "‘": "`{}",
    "’": "'{}",
    "“": "``{}",
    "”": "''{}",
    "…": r"\ldots{}",
    "·": r"\textperiodcentered{}",
    "°": r"\textdegree{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "©": r"\copyright{}",
    "€": r"\texteuro{}",
    "£": r"\pounds{}",
    "µ": r"\textmu{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "←": r"\textleftarrow{}",
    "→": r"\textrightarrow{}",
    "\u200b": "",
    "\ufeff": "",
}
# Accents that fonts of every encoding have, by their combining characters.
_ACCENTS: Mapping[str, str] = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
}
# Two of these would be drawn as one sign.
_LIGATURES = frozenset("-',")

# Pdflatex knows no letters of other scripts, and shows their numbers; the newer engines show them if the font has them.
FALLBACK = r"\DeclareRobustCommand*{\xferchar}[2]{\ifdefined\Umathchar #1\else\texttt{#2}\fi}"

# In points of a font of ten: Computer Modern's, which is wider than Times.
_WIDTHS: Mapping[str, float] = {
    **dict.fromkeys("0123456789", 5.0),
    **dict.fromkeys(".,:;[]'|!ijl", 2.8),
    **dict.fromkeys(" ()-", 3.6),
    **dict.fromkeys("+<>=~", 7.8),
    **dict.fromkeys("mwMWOQ%@—", 8.6),
    **dict.fromkeys("ABCDEGHKNPRTUVXYZ&$#", 7.2),
}


def escape(text: str) -> str:
    """Text in LaTeX, on one line: no command, mathematics, comment, column or accent begins in it.

    Lines may end after an underscore, a slash and the like, and in a very long word.
    """
    found: list[str] = []
    before = ""
    for piece in _pieces(text):
        # After these TeX breaks lines by itself.
        if before and before not in " -":
            found.append(_BREAK)
        for letter in piece:
            if letter == before and letter in _LIGATURES:
                found.append("{}")
            found.append(_letter(letter))
            before = letter
    return "".join(found)


def lines(text: str, room: float) -> int:
    """How many lines a text takes in a column so many points wide, of a font of ten."""
    count, left = 1, room
    for piece in _pieces(text):
        needed = width(piece.rstrip())
        if needed > left and left < room:
            count, left = count + 1, room
        left -= width(piece)
    return count


def _pieces(text: str) -> Iterator[str]:
    """The parts of a text, as one line, after which a line may end."""
    piece = ""
    # Composed, so that an accent is known with its letter.
    for letter in unicodedata.normalize("NFC", " ".join(text.split())):
        if len(piece) == _LONGEST or (len(piece) >= _SIGNS and not piece[-1].isalnum()):
            yield piece
            piece = ""
        piece += letter
        if letter in _ENDS:
            yield piece
            piece = ""
    if piece:
        yield piece


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if " " <= letter <= "~":
        return letter
    if unicodedata.category(letter) in {"Cc", "Cs", "Co", "Cn"}:
        return _number(letter)
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and base.isalpha() and marks and all(mark in _ACCENTS for mark in marks):
        for mark in marks:
            base = rf"\{_ACCENTS[mark]}{{{base}}}"
        return base
    return rf"\xferchar{{{letter}}}{{{_number(letter)}}}"


def _number(letter: str) -> str:
    return f"U+{ord(letter):04X}"


def width(text: str) -> float:
    """About how wide a text is, in points of a font of ten; rather more than less."""
    return sum(_WIDTHS.get(letter, 5.2 if letter.isascii() else 10.0) for letter in text)
