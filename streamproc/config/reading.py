"""Reading of YAML 1.2, with places of all keys and values, environment variables and overrides."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamproc.errors import ConfigError, Issue, counted
from streamproc.secrets import redact, remember, remember_environment
from streamproc.wording import got_in_words

Keys = tuple[str | int, ...]

_MOST_VALUES = 200_000
"""values in a configuration; thirty cameras with everything set have a few thousand"""
_SHOWN_BY_CHANCE = 4
"""shortest value of a variable, in characters, that isn't in a message by chance"""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(slots=True)
class Reading:
    """A configuration as plain values, with the places of everything."""

    file: Path
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Any] = field(default_factory=dict)
    """the same before environment variables were filled in"""
    places: dict[Keys, tuple[int, int]] = field(default_factory=dict)
    """1-based line and column of each value"""
    key_places: dict[Keys, tuple[int, int]] = field(default_factory=dict)
    """1-based line and column of each key"""
    overridden: set[Keys] = field(default_factory=set)
    """places of values from the command line"""
    filled: dict[Keys, dict[str, str]] = field(default_factory=dict)
    """by place: the value of each environment variable that was filled in there, by its reference"""
    issues: list[Issue] = field(default_factory=list)
    unset: list[Issue] = field(default_factory=list)
    """issues that name an unset environment variable, part of `issues`"""
    warnings: list[Issue] = field(default_factory=list)
    """doubts about the configuration, which can still run"""

    def issue(self, keys: Sequence[str | int], message: str, *, at_key: bool = False) -> Issue:
        """Return a mistake at this key, with the nearest known place."""
        path = tuple(keys)
        message = redact(self._without_filled(path, message))
        where = ".".join(map(str, path))
        if any(path[: len(known)] == known for known in self.overridden):
            return Issue(message=message, where=f"--set {where}")
        if not self.places:  # it wasn't read from a file
            return Issue(message=message, where=where)
        place = self.key_places.get(path) if at_key else None
        while place is None:
            place = self.places.get(path)
            if not path:
                break
            path = path[:-1]
        line, column = place or (1, 1)
        return Issue(message=message, where=where, file=self.file, line=line, column=column)

    def mistakes(self) -> list[Issue]:
        """Return all mistakes, except wrong values that only result from an unset environment variable."""
        unknown = {issue.where for issue in self.unset}
        return [issue for issue in self.issues if issue in self.unset or issue.where not in unknown]

    def _without_filled(self, path: Keys, message: str) -> str:
        """Return `message` with the references in place of the environment's values at this place."""
        for place, values in self.filled.items():
            if place[: len(path)] != path and path[: len(place)] != place:
                continue
            for reference, value in sorted(values.items(), key=lambda item: -len(item[1])):
                for form in (repr(value), repr(value.strip()), value if len(value) >= _SHOWN_BY_CHANCE else ""):
                    message = message.replace(form, reference) if form else message
        return message


def read(file: Path, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Reading:
    """Read a file; `ConfigError` if it isn't YAML at all. Other mistakes are in `issues`.

    overrides: texts `dotted.key=value`, the value in YAML, as `--set` gives them.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise ConfigError([Issue(message=f"can't be read: {reason}", file=file)]) from error
    return read_text(text, file, overrides, environment)


def read_text(
    text: str, file: Path, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> Reading:
    """Read a text, like `read`; `file` is for messages."""
    reading = Reading(file=file)
    loaded = _load(text, file, reading)
    if not isinstance(loaded, Mapping):
        got = got_in_words(_plain(loaded))
        raise ConfigError([Issue(message=f"holds {got}, expected keys such as version and streams", file=file)])
    _check_size(loaded, file)
    _note_places(loaded, (), reading)
    plain: Any = _plain(loaded)
    for override in overrides:
        _override(plain, override, reading)
    reading.written = plain
    reading.values = _fill_in(plain, (), os.environ if environment is None else environment, reading)
    remember(reading.values)
    return reading


def _load(text: str, file: Path, reading: Reading) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="rt", pure=True)
    try:
        try:
            return yaml.load(io.StringIO(text))
        except DuplicateKeyError:
            issues = list(_twice(YAML(typ="rt", pure=True).compose(io.StringIO(text)), (), file, set()))
            if not issues:
                raise
            reading.issues += issues
            yaml = YAML(typ="rt", pure=True)
            yaml.allow_duplicate_keys = True
            return yaml.load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        message = f"not valid YAML: {(error.problem or error.context or '').removeprefix('but ')}"
        raise ConfigError([Issue(message=message, file=file, line=place[0], column=place[1])]) from error
    except RecursionError as error:
        raise ConfigError([Issue(message="not read: it is nested hundreds of levels deep", file=file)]) from error
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # the parser itself fails at a merge of a mapping into itself, a number of thousands of digits ...
        known = isinstance(error, YAMLError | ValueError)
        reason = str(error).split(";")[0] if known else "the parser stops; does a merge (<<) name what it stands in?"
        raise ConfigError([Issue(message=f"not valid YAML: {reason}", file=file)]) from error


def _check_size(loaded: Any, file: Path) -> None:
    """Refuse values that aliases make endless, or unreasonably large (the "billion laughs")."""
    try:
        size = _size(loaded, {})
    except RecursionError as error:
        raise ConfigError([Issue(message="not read: it is nested hundreds of levels deep", file=file)]) from error
    if size > _MOST_VALUES:
        message = f"not read: its aliases (*name) make more than {_MOST_VALUES:,} values of it; write fewer of them"
        raise ConfigError([Issue(message=message, file=file)])


def _size(node: Any, sizes: dict[int, float]) -> float:
    """Count the values, those behind aliases each time; infinite where a value holds itself."""
    if not isinstance(node, Mapping | list | tuple | set):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # as long as it is being counted: coming back here is a circle
        children = node.values() if isinstance(node, Mapping) else node
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]


def _twice(node: Any, path: Keys, file: Path, visited: set[int]) -> Iterator[Issue]:
    """Yield a mistake for each key that occurs twice in its mapping."""
    if node is None or id(node) in visited or isinstance(node.value, str):
        return
    visited.add(id(node))  # several aliases may name one anchor
    first: dict[str, int] = {}
    for index, child in enumerate(node.value):
        key, value = child if isinstance(child, tuple) else (None, child)
        here = (*path, index if key is None else str(key.value))
        if key is not None and isinstance(key.value, str):
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if (before := first.get(key.value)) is not None:
                message = f"the key {key.value!r} stands here again, after line {before}; leave one of them out"
                yield Issue(message=message, where=".".join(map(str, here)), file=file, line=line, column=column)
            first.setdefault(key.value, line)
        yield from _twice(value, here, file, visited)


def _note_places(node: Any, path: Keys, reading: Reading) -> None:
    marks = getattr(node, "lc", None)
    if marks is None or marks.line is None:
        return
    reading.places.setdefault(path, (marks.line + 1, marks.col + 1))
    keyed = isinstance(node, Mapping)
    for key, child in node.items() if keyed else enumerate(node):
        here = (*path, key)
        try:
            line, column = (marks.value if keyed else marks.item)(key)
            reading.places[here] = (line + 1, column + 1)
            line, column = (marks.key if keyed else marks.item)(key)
            reading.key_places[here] = (line + 1, column + 1)
        except (KeyError, TypeError):  # it came by a merge key (<<), or a tag: it stands elsewhere
            continue
        _note_places(child, here, reading)


def _plain(node: Any) -> Any:
    """Convert ruamel's own classes to plain dicts, lists and scalars."""
    if isinstance(node, Mapping):
        return {key if isinstance(key, int) else str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, Set):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _override(values: Any, override: str, reading: Reading) -> None:
    dotted, equals, text = override.partition("=")
    keys: Keys = tuple(int(key) if key.isdigit() else key for key in dotted.split("."))
    if not equals or "" in keys:
        message = f"--set {override!r} isn't of the form key=value, such as streams.dock.rate=5"
        reading.issues.append(Issue(message=message))
        return
    target = values
    for key in keys[:-1]:
        if isinstance(target, dict):
            target = target.setdefault(key, {})
        elif isinstance(target, list) and isinstance(key, int) and key < len(target):
            target = target[key]
        else:
            reading.issues.append(Issue(message=f"--set {dotted}: there is nothing of that name to set"))
            return
    if not isinstance(target, dict | list):
        holder = ".".join(map(str, keys[:-1]))
        got = got_in_words(target)
        reading.issues.append(
            Issue(message=f"--set {dotted}: {holder} holds {got}, expected keys; set {holder} itself")
        )
        return
    if isinstance(target, list) and not (isinstance(keys[-1], int) and keys[-1] < len(target)):
        reading.issues.append(Issue(message=f"--set {dotted}: the list has {counted(len(target), 'entry', 'entries')}"))
        return
    last: Any = keys[-1]
    target[last] = _plain(_load(text, Path(f"--set {dotted}"), reading))
    reading.overridden.add(keys)


def _fill_in(node: Any, path: Keys, environment: Mapping[str, str], reading: Reading) -> Any:
    if isinstance(node, dict):
        return {key: _fill_in(value, (*path, key), environment, reading) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill_in(value, (*path, index), environment, reading) for index, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        name, default = match.groups()
        given = environment.get(name)
        found = given or default
        if found is None:
            message = f"environment variable {name} isn't set; set it, or write ${{{name}:-default}}"
            reading.unset.append(reading.issue(path, message))
            reading.issues.append(reading.unset[-1])
            return ""
        if given:
            reading.filled.setdefault(path, {})[f"${{{name}}}"] = given
            remember_environment(given, before=node[: match.start()], after=node[match.end() :])
        return found

    return _VARIABLE.sub(value_of, node)


__all__ = ["Keys", "Reading", "read", "read_text"]
