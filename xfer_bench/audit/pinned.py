"""Whether rows are those that this version was written against: by their commit on the Hub, else by their content."""

from collections.abc import Iterator

from xfer_bench.audit.findings import Finding, Grade
from xfer_bench.audit.sheet import Sheet, counted
from xfer_bench.sources import catalogue, embedded, pins
from xfer_bench.sources.source import config_of, split_of

_DIGITS = 12
_CHECK = "pins"


def check_pins(sheet: Sheet) -> Iterator[Finding]:
    """An error, with both commits or fingerprints, for a changed split; a note for one that nothing is pinned of.

    A change that the environment accepts (`pins.ACCEPT`) is a note. The embedded data change with the code.
    """
    part = sheet.part
    whole = "{language}" in part.config or sheet.language == part.languages[0]
    if sheet.raw is None or part.repository in embedded.REPOSITORIES or not whole:
        return
    if sheet.revision:
        yield from _by_commit(sheet)
    else:
        yield from _by_content(sheet)


def _by_commit(sheet: Sheet) -> Iterator[Finding]:
    pinned = sheet.part.revision or catalogue.revision(sheet.part.repository)
    found = sheet.revision
    if not pinned:
        message = f"of {sheet.part.repository} no commit is pinned, so a change would not be seen; here is {found}"
        yield sheet.finding("note", _CHECK, message)
    elif found != pinned:
        message = f"the rows are of the commit {found[:_DIGITS]}, and {pinned[:_DIGITS]} is pinned"
        yield _changed(sheet, message)


def _by_content(sheet: Sheet) -> Iterator[Finding]:
    part, raw = sheet.part, sheet.raw
    assert raw is not None
    config, split = config_of(part, sheet.language), split_of(part)
    pin = pins.pins().get((part.repository, config, split))
    if pin is None:
        message = f"of {part.repository} ({split}) no fingerprint is pinned, so a change would not be seen"
        yield sheet.finding("note", _CHECK, message)
        return
    loose = [name for name in part.columns if name not in pin.columns]
    if loose:
        message = f"the columns {', '.join(loose)} are not pinned, so a change in them would not be seen"
        yield sheet.finding("note", _CHECK, message)
    found = {name: pins.fingerprint(raw[name]) for name in part.columns if name in pin.columns}
    other = [name for name in found if found[name] != pin.columns[name]]
    if other:
        name = other[0]
        more = f"; so have {', '.join(other[1:])}" if other[1:] else ""
        message = (
            f"the rows have changed: the column {name!r} has the fingerprint {found[name][:_DIGITS]} in "
            f"{counted(raw.height, 'row')}, and {pin.columns[name][:_DIGITS]} in {pin.rows:,} is pinned{more}"
        )
        yield _changed(sheet, message)


def _changed(sheet: Sheet, message: str) -> Finding:
    """They are refused wherever they are read, unless the environment accepts them."""
    accepted = pins.accepted(sheet.part.repository)
    grade: Grade = "note" if accepted else "error"
    return sheet.finding(grade, _CHECK, f"{message}{f' (accepted by {pins.ACCEPT})' if accepted else ''}")
