"""Lists of points that users draw: what is wrong with them is told whole."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError


def points_at_least(least: int) -> WrapValidator:
    """Tells that points are missing where coordinates are wrong, too; a list that is only short is left to others."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            if not isinstance(value, list | tuple) or len(value) >= least:
                raise
            found = [
                InitErrorDetails(type=e["type"], loc=e["loc"], input=e["input"], ctx=e.get("ctx", {}))
                for e in error.errors(include_url=False)
            ]
            few = PydanticCustomError("too_few_points", "give at least {least} points", {"least": least})
            found.append(InitErrorDetails(type=few, input=value))
            raise ValidationError.from_exception_data(error.title, found) from None

    return WrapValidator(check)


__all__ = ["points_at_least"]
