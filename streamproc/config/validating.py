"""Validation of options and sections by their models, with the place of each mistake in the file."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from streamproc.config.reading import Keys, Reading
from streamproc.errors import Issue, StreamprocError, describe, nearest
from streamproc.models import ModelStore
from streamproc.options import Mistake, Options
from streamproc.secrets import MASK, is_secret_key
from streamproc.wording import got_in_words, in_words

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """Place of values in the file."""

    keys: Keys
    own: tuple[Keys, frozenset[str]] = ((), frozenset())
    """another place, and the names of the options in it"""

    def of(self, loc: Keys) -> Keys:
        """Return the place of this value."""
        there = bool(self.own[1]) and (not loc or loc[0] in self.own[1])
        return (*(self.own[0] if there else self.keys), *loc)


_TAGS = ("function-", "literal[", "constrained-", "list[", "tuple[", "dict[", "nullable[", "is-instance[", "lax-or-")


def validate(model: type[ModelT], values: Any, place: Place, reading: Reading) -> ModelT | None:
    """Return a checked model, or None and add all mistakes to the issues."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        reading.issues += [_issue(model, mistake, place, reading) for mistake in error.errors(include_url=False)]
        return None


def plugin_options(
    cls: Any, values: Mapping[str, Any], place: Place, reading: Reading, models: ModelStore
) -> Options | None:
    """Return a plugin's options, checked by their model and by the plugin; None where their form is wrong."""
    options = validate(cls.options_type, values, place, reading)
    assert options is None or isinstance(options, Options)
    known = options if options is not None else _what_is_known(cls.options_type, values)
    if known is not None:
        for mistake in _found(cls, known, models, whole=options is not None):
            path = place.of(mistake.option)
            reading.issues.append(reading.issue(path, mistake.message, at_key=mistake.at_key))
    return options


def _found(cls: Any, options: Options, models: ModelStore, *, whole: bool) -> list[Mistake]:
    """Return the plugin's own mistakes for its options. whole: none of them is left out."""
    found: list[Mistake] = []
    try:
        for mistake in cls.check_options(options, models):
            found.append(Mistake(tuple(mistake.option), mistake.message, mistake.at_key))
    except StreamprocError as error:
        found.append(Mistake((), str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's code may raise anything
        if whole:  # else it may have read an option that is left out
            failed = f"{cls.__name__}.check_options failed ({describe(error)})"
            found.append(Mistake((), f"{failed}; it must return mistakes, not raise"))
    return found


def _what_is_known(model: type[Options], values: Mapping[str, Any]) -> Options | None:
    """Return the options without the wrong ones, so that one pass also checks the right ones."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    if not all(mistake["loc"] for mistake in mistakes):  # contradicting options: any of them may be the wrong one
        return None
    wrong = {str(mistake["loc"][0]) for mistake in mistakes}
    fields = {key: name for name, field in model.model_fields.items() for key in (name, field.alias or name)}
    try:
        options = model.model_validate({key: value for key, value in values.items() if key not in wrong})
    except ValidationError:
        return None
    for key in wrong:
        # `modle` was meant to be `model`: that isn't known either
        meant = [key] if key in fields else difflib.get_close_matches(key, fields, n=1)
        for name in meant:
            options.__dict__.pop(fields[name], None)
    return options


def _issue(model: type[BaseModel], mistake: Any, place: Place, reading: Reading) -> Issue:
    loc: Keys = tuple(mistake["loc"])
    path = place.of(tuple(part for part in loc if not _is_tag(part)))
    if mistake["type"] == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        expected = f" (known: {', '.join(known)})" if known else ""
        return reading.issue(path, f"unknown key {str(loc[-1])!r}{nearest(str(loc[-1]), known)}{expected}", at_key=True)
    if mistake["type"] == "missing" and isinstance(loc[-1], int):  # a list that is too short: a mistake of the list
        loc, path = loc[:-1], path[:-1]
    elif mistake["type"] == "missing":
        return reading.issue(path, f"{str(loc[-1])!r} is missing here")
    text, got = in_words(mistake, _annotation_at(model, loc)), got_in_words(mistake.get("input"))
    written = str(mistake.get("input"))
    if any(is_secret_key(str(part)) for part in path):
        text, got = text.replace(written, MASK), ""
    return reading.issue(path, text + (f", got {got}" if got and "got" not in text else ""))


def _is_tag(part: str | int) -> bool:
    """Return whether pydantic added this part for a branch of a union or a key: it isn't in the file."""
    return isinstance(part, str) and (part == "[key]" or part.startswith(_TAGS))


def _fields_at(model: type[BaseModel], loc: Keys) -> list[str]:
    """Return the keys that the model takes at this place."""
    here = _annotation_at(model, loc)
    models = [kind for kind in _branches(here) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [name for kind in models for name in kind.model_fields]


def _annotation_at(model: type[BaseModel], loc: Keys) -> Any:
    here: Any = model
    for part in loc:
        if not _is_tag(part):
            here = _inside(here, part)
    return here


def _branches(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _inside(annotation: Any, part: str | int) -> Any:
    for kind in _branches(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if part in kind.model_fields:
                return kind.model_fields[str(part)].annotation
            continue
        arguments = get_args(kind)
        if get_origin(kind) in (dict, Mapping) and len(arguments) == 2:
            return arguments[1]
        if arguments:
            return arguments[0]
    return None


def remove(values: Any, loc: Keys) -> bool:
    """Remove the value at `loc`; return False if there is none."""
    loc = tuple(part for part in loc if not _is_tag(part))
    for part in loc[:-1]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return False
    try:
        del values[loc[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    return True


__all__ = ["Place", "plugin_options", "remove", "validate"]
