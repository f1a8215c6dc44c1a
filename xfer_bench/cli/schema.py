"""`schema`: the JSON schema of a study file, for editors that complete and check TOML. No torch."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

# The draft that editors' TOML plugins (Taplo, Even Better TOML) read; pydantic's own is newer, and alike but for where
# definitions lie.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_DEFINITIONS = "definitions"

Schema: TypeAlias = dict[str, Any]


def schema(
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write it to a file.")] = None,
) -> None:
    """Print the JSON schema of a study file, for editors that complete and check TOML.

    A study whose first line is `#:schema ./study.schema.json` is checked against the file of that name beside it by
    editors that use Taplo, such as VS Code with Even Better TOML.
    """
    text = json.dumps(study_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    from xfer_bench.durable import write_bytes

    write_bytes(out, text.encode())
    typer.echo(f"{out} written; begin a study beside it with the line `#:schema ./{out.name}`", err=True)


def study_schema() -> Schema:
    """The schema of a study file, in the draft and the form that editors of TOML understand.

    What the model says in its docstrings is said at each key; what TOML cannot write (null) is left out.
    """
    from xfer_bench.recipes import RECIPES, Recipe
    from xfer_bench.study import Study
    from xfer_bench.tasks import TASKS

    made = Study.model_json_schema(ref_template=f"#/{_DEFINITIONS}/{{model}}")
    definitions = made.pop("$defs")
    for table in (made, *definitions.values()):
        _describe(table)
    for part in _parts([made, definitions]):
        _without_null(part)
    for properties in (one["properties"] for one in (made, *definitions.values()) if "task" in one["properties"]):
        # Suggested, and not demanded: a task may be the user's own.
        name = properties["task"]
        properties["task"] = {"anyOf": [{"enum": sorted(TASKS)}, name], **_taken(name, "description")}
    made["properties"]["base_recipe"]["enum"] = sorted(RECIPES)
    values = {name: recipe.model_dump(mode="json") for name, recipe in RECIPES.items()}
    for name, field in definitions[Recipe.__name__]["properties"].items():
        # A recipe in a study is partial: a key that is absent has the value of the recipe below, not the model's.
        field.pop("default", None)
        field["description"] = " ".join([*_taken(field, "description").values(), _in_recipes(name, values)])
    return {"$schema": _DRAFT, **made, _DEFINITIONS: definitions}


def _describe(table: Schema) -> None:
    """Take what the docstring of a table says of its keys to the keys."""
    names = "|".join(sorted(table["properties"], key=len, reverse=True))
    begins = rf"(?:(?:^|(?<=[.;] ))(?=(?:{names})(?:, (?:{names}))*[:, ]))"
    first, *rest = re.split(begins, " ".join(table.get("description", "").split()))
    for field in table["properties"].values():
        field.pop("title", None)
    for text in rest:
        said = re.match(rf"((?:{names})(?:, (?:{names}))*)(: )?", text)
        if said is None:
            continue
        meaning = (text[said.end() :] if said[2] else text).strip().rstrip(".;") + "."
        for name in said[1].split(", "):
            table["properties"][name].setdefault("description", meaning)
    table["description"] = first.strip()


def _parts(value: Any) -> Iterator[Schema]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(part)


def _without_null(part: Schema) -> None:
    kinds = part.get("anyOf")
    if isinstance(kinds, list) and {"type": "null"} in kinds:
        kinds.remove({"type": "null"})
        if len(kinds) == 1:
            part.update(part.pop("anyOf")[0])
    # Defaults that are whole tables say what their own keys say.
    if "default" in part and (part["default"] is None or isinstance(part["default"], dict)):
        del part["default"]


def _taken(value: Schema, *names: str) -> Schema:
    return {name: value[name] for name in names if name in value}


def _in_recipes(field: str, recipes: dict[str, dict[str, Any]]) -> str:
    """Which named recipe has which value."""
    held: dict[str, list[str]] = {}
    for name, values in recipes.items():
        held.setdefault("none" if values[field] is None else json.dumps(values[field]), []).append(name)
    if len(held) == 1:
        return f"({next(iter(held))} in every named recipe)"
    return f"({'; '.join(f'{value} in ' + ', '.join(names) for value, names in held.items())})"
