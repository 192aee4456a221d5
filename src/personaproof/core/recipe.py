"""Recipes: YAML settings validated by pydantic, unknown keys refused with the nearest valid one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personaproof.core.errors import RecipeError, suggest
from personaproof.core.generation import Sampling


class Recipe(BaseModel):
    """Base of all recipes: immutable, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    how: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how the work is cut up or reported, and not what is computed."""

    def identity(self) -> dict[str, Any]:
        """What a run is known by, JSON-ready: all but `how`, so that a run that ran out of memory goes on with its work
        cut smaller."""
        return self.model_dump(mode="json", exclude=self._without())

    @classmethod
    def giving_way(cls, values: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
        """What stays of `values` when `new` is put over them: all, unless a setting stands for others."""
        return values

    def _without(self) -> dict[str, Any]:
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        nested = {name: part._without() for name, part in parts.items() if isinstance(part, Recipe)}
        return {**{name: inner for name, inner in nested.items() if inner}, **dict.fromkeys(self.how, True)}


class SamplingRecipe(Recipe):
    """Decoding settings as a part of a recipe; see `Sampling`."""

    temperature: float = Field(0.7, ge=0)
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    max_new_tokens: int = Field(256, ge=1)

    def build(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens)


R = TypeVar("R", bound=Recipe)


def builtin_recipes(folder: Path) -> list[str]:
    """Names of the recipes in a package's folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_recipe(name_or_path: str, folder: Path) -> Path:
    """A built-in recipe of `folder` by name, or the file at a path. Raises RecipeError naming the nearest built-in."""
    known = builtin_recipes(folder)
    if name_or_path in known:
        return folder / f"{name_or_path}.yaml"
    if (path := Path(name_or_path)).suffix in {".yaml", ".yml"} or path.exists():
        return path
    raise RecipeError(f"no recipe is called {name_or_path!r}; {suggest(name_or_path, known)}")


def load_recipe(
    kind: type[R],
    path: Path | None = None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> R:
    """A recipe from `base` (built-in values), then the YAML file, then ``key=value`` overrides, later ones winning.

    Dots reach into nested recipes (``sampling.temperature=0.7``); values are read as YAML. Raises RecipeError for a
    missing or malformed file, an unknown key (naming the nearest valid one) or a value out of range.
    """
    values: dict[str, Any] = dict(base or {})
    if path is not None:
        values = _put_over(kind, values, _read_yaml(path))
    wanted: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise RecipeError(f"override {override!r} is not of the form key=value.")
        nested: Any = yaml.safe_load(text)
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        wanted = _put_over(BaseModel, wanted, nested)
    try:
        return kind.model_validate(_put_over(kind, values, wanted))
    except ValidationError as error:
        raise RecipeError(_explain(kind, error, path)) from None


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"no recipe at {path}; give the path of a YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RecipeError(f"{path} must hold keys and values, not a {type(content).__name__}.")
    return content


def _put_over(kind: type[BaseModel], values: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`new` merged into a copy of `values`, settings of `kind`."""
    kept = dict(kind.giving_way(values, new) if issubclass(kind, Recipe) else values)
    for key, value in new.items():
        known = kept.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            kept[key] = _put_over(_kind_of(kind, key), known, value)
        else:
            kept[key] = value
    return kept


def _kind_of(kind: type[BaseModel], key: str) -> type[BaseModel]:
    """The recipe that a field holds, or nothing in particular."""
    field = kind.model_fields.get(key)
    annotation = field.annotation if field else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else BaseModel


def _explain(kind: type[Recipe], error: ValidationError, path: Path | None) -> str:
    source = f" in {path}" if path else ""
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        name = ".".join(location)
        if problem["type"] == "extra_forbidden":
            known = _fields_at(kind, location[:-1])
            lines.append(f"unknown key {name!r}{source}; {suggest(location[-1], known)}")
        else:
            lines.append(f"{name}{source}: {problem['msg']} (got {problem.get('input')!r}).")
    return "\n".join(lines)


def _fields_at(kind: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        kind = _kind_of(kind, part)
    return list(kind.model_fields)
