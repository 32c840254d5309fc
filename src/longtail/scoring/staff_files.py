"""Reads files that the operations staff writes: YAML or JSON, strictly, so that no slip of the pen changes what is shown unsaid."""

from collections import Counter
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, ValidationError

from longtail.contracts.errors import UserError
from longtail.contracts.ids import canonical_id
from longtail.contracts.settings_base import Settings

Kind = TypeVar("Kind", bound=Settings)


def _an_id(text: str) -> str:
    found = canonical_id(text)
    if found is None:
        raise ValueError(f"{text!r} is no item's id")
    return found


Id = Annotated[str, AfterValidator(_an_id)]
_Base: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Texts(_Base):  # type: ignore[misc]
    """Scalars are texts as they are written, so that the id 007 stays one; a key may be there once."""


def _each_key_once(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key, count in Counter(map(str, keys)).items():
        if count > 1:
            raise yaml.MarkedYAMLError(problem=f"{key!r} is there twice", problem_mark=node.start_mark)
    return {str(key): loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value)}


_Texts.add_constructor("tag:yaml.org,2002:map", _each_key_once)


def parse_staff_file(kind: type[Kind], text: str, name: str, example: str) -> Kind:
    """name: of where it lies; example: of what it may hold.

    Raises:
        UserError: naming the key that is wrong.
    """
    try:
        document = yaml.load(text, Loader=_Texts)  # noqa: S506  (a BaseLoader makes texts alone)
    except yaml.YAMLError as error:
        raise UserError(f"{name}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(document, dict):
        raise UserError(f"{name}: must hold {example}")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        place = "".join(f"{part}." for part in fault["loc"])[:-1]
        message = fault["msg"].removeprefix("Value error, ")
        raise UserError(f"{name}: {f'{place}: ' if place else ''}{message}; it holds {example}") from None
