"""What the doctor finds: facts, each sound, worth a warning, or broken; and words without secrets."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warning", "broken"]

# What names of variables say that their values are nobody's business; and the least of a value that is looked for.
_SECRET = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|AUTH|COOKIE", re.IGNORECASE)
_LEAST = 6
_HIDDEN = "[hidden]"
_WITH_USER = re.compile(r"(?<=://)[^/\s@]+@")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is so on this machine. reason: why it is worth a warning, or broken, and what to do."""

    section: str
    name: str
    value: str
    state: State = "ok"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found, section by section."""

    facts: tuple[Fact, ...]

    def of(self, state: State) -> tuple[Fact, ...]:
        """The facts in this state."""
        return tuple(fact for fact in self.facts if fact.state == state)


@dataclass(frozen=True, kw_only=True)
class Veil:
    """What must not be shown. secrets: values; homes: folders that are shown as `~`; longest first."""

    secrets: tuple[str, ...]
    homes: tuple[str, ...]

    @classmethod
    def of(cls, environment: Mapping[str, str] | None = None) -> "Veil":
        """Of an environment; by default this process's."""
        known = os.environ if environment is None else environment
        secrets = {value for name, value in known.items() if _SECRET.search(name)}
        secrets |= {part for value in known.values() for part in _passwords(value)}
        home = known.get("HOME") or str(Path.home())
        homes = {home.rstrip("/"), str(Path(home).resolve())} - {"", "/"}
        longest = sorted((one for one in secrets if len(one) >= _LEAST), key=len, reverse=True)
        return cls(secrets=tuple(longest), homes=tuple(sorted(homes, key=len, reverse=True)))

    def over(self, text: str) -> str:
        """The text in one line, without secrets, without users and passwords of addresses, and with `~` for home."""
        said = _WITH_USER.sub("", " ".join(text.split()))
        for secret in self.secrets:
            said = said.replace(secret, _HIDDEN)
        for home in self.homes:
            said = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", said)
        return said


def _passwords(value: str) -> list[str]:
    """Users and passwords of the addresses in a value, together and alone."""
    found = [match.group().rstrip("@") for match in _WITH_USER.finditer(value)]
    return [*found, *(part for one in found for part in one.split(":")[1:])]
