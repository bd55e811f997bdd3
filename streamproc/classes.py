"""Checks of plugin, source and sink classes before anything runs.

Each mistake is a sentence with the place of the class, so that `check` finds it before the first frame does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from streamproc.errors import PluginError, describe
from streamproc.options import Options, is_duration
from streamproc.wording import in_words

_LEAST_DURATION_NS = 1_000_000
"""a shorter default of a duration, one millisecond, is a number of seconds by mistake"""


def class_name(cls: type) -> str:
    """Return module, name, file and line of a class, as far as they are known."""
    name = f"{cls.__module__}:{cls.__qualname__}"
    try:
        file = inspect.getsourcefile(cls)
        line = inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return name
    return f"{name} ({Path(file or '?').name}:{line})"


def check_members(cls: type, methods: Iterable[str]) -> None:
    """Raise `PluginError` where the class can't be used as it is: its options, its constructor, methods not awaited."""
    for mistake in (*_async_mistakes(cls, methods), *_option_mistakes(cls), *_constructor_mistakes(cls)):
        raise PluginError(f"{class_name(cls)}: {mistake}")


def construct(cls: Any, options: Options) -> Any:
    """Construct an object; `PluginError` where its constructor fails or drops the options.

    Only a class's own constructor is called: it does no work, which is `open`'s.
    """
    if cls.__init__.__module__.startswith("streamproc."):
        return None
    try:
        made = cls(options)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{class_name(cls)}: its __init__ failed: {describe(error)}") from error
    if getattr(made, "options", None) is not options:
        raise PluginError(f"{class_name(cls)}: its __init__ lacks super().__init__(options), so it has no options")
    return made


def _async_mistakes(cls: type, methods: Iterable[str]) -> Iterable[str]:
    for name in methods:
        method = getattr(cls, name, None)
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            yield (
                f"{name} is `async def`, but is called without await, so it does nothing; write `def` "
                "(asyncio.run inside it, where you must)"
            )


def _constructor_mistakes(cls: Any) -> Iterable[str]:
    try:
        inspect.signature(cls).bind(Options())
    except TypeError:
        yield "its __init__ must take the options alone: def __init__(self, options): super().__init__(options)"
    except ValueError:  # a class without a signature
        return


def _option_mistakes(cls: Any) -> Iterable[str]:
    wrong = cls.wrong_options
    if wrong is not None:
        yield f"its options are {wrong.__name__}, which must be derived from streamproc.Options"
        return
    for name, field in cls.options_type.model_fields.items():
        mistake = _default_mistake(field)
        if mistake:
            yield f"the default of its option `{name}` {mistake}"


def _default_mistake(field: FieldInfo) -> str:
    """Return what is wrong with a field's default, which pydantic doesn't check."""
    default = field.default
    if field.is_required() or field.default_factory is not None or default is None:
        return ""
    if is_duration(field):
        if isinstance(default, bool) or not isinstance(default, int):
            return f"is {default!r}, expected nanoseconds; write seconds(2)"
        tiny = 0 < default < _LEAST_DURATION_NS
        return f"is {default} nanoseconds; if seconds are meant, write seconds({default})" if tiny else ""
    if isinstance(default, BaseModel):
        return ""
    try:
        _adapter(field).validate_python(default)
    except ValidationError as error:
        return f"is {default!r}, {in_words(dict(error.errors(include_url=False)[0]), field.annotation)}"
    return ""


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    from typing import Annotated

    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)


def optionless(cls: Any, values: Iterable[str]) -> str:
    """A sentence where options are given to a class that names none as its parameter; else empty."""
    if cls.options_type is not Options or not (names := ", ".join(values)):
        return ""
    base = next((base.__name__ for base in cls.__mro__[1:] if base.__module__.startswith("streamproc.")), "FramePlugin")
    return (
        f"{class_name(cls)} takes no options, got {names}; name their class as its parameter: "
        f"class {cls.__name__}({base}[{cls.__name__}Options])"
    )


__all__ = ["check_members", "class_name", "construct", "optionless"]
