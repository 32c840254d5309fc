"""The base of all settings: typed, documented, unknown keys refused; which of them name places; reading them.

Each stage is handed only its own slice as canonical JSON text, so that a change to one stage does not re-run the others.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from longtail.contracts.errors import UserError


class Settings(BaseModel):
    """Base of every stage's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    renamed: ClassVar[dict[str, str]] = {}  # a key of earlier versions -> today's
    gone: ClassVar[dict[str, str]] = {}  # a key of earlier versions that has no other -> why, and what to do

    def canonical(self) -> str:
        """JSON text with sorted keys: equal settings give equal text, and so equal cache keys."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


AnySettings = TypeVar("AnySettings", bound=Settings)


@dataclass(frozen=True)
class Place:
    """Marks a setting that names a file, a folder or an address: ``Annotated[str, Place()]``.

    Wherever a stage may run in another folder, its places are made absolute; containers mount them, to be read or written;
    and what lies at those that are read is part of what results depend on. Text that names nothing here (the id of a model on
    a hub, an address) is left as it is.
    """

    written: bool = False


class Named(NamedTuple):
    """A place that settings name."""

    key: str  # dotted, below the settings that were asked
    uri: str
    place: Place


def places(settings: Settings) -> Iterator[Named]:
    """Every place that these settings name, nested ones too."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield from (found._replace(key=f"{name}.{found.key}") for found in places(value))
        elif marks := _marks(field):
            given = (value,) if isinstance(value, str) else value or ()
            yield from (Named(name, uri, marks[0]) for uri in given)


def with_places(settings: AnySettings, change: Callable[[str], str]) -> AnySettings:
    """The same settings with every place changed."""
    changed: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            changed[name] = with_places(value, change)
        elif value and _marks(field):
            changed[name] = change(value) if isinstance(value, str) else tuple(map(change, value))
    return settings.model_copy(update=changed)


def _marks(field: FieldInfo) -> list[Place]:
    """``Place`` of a field, of its type, or of the type's members (``| None``, ``tuple[..., ...]``)."""

    def below(annotation: Any) -> Iterator[Any]:
        yield from getattr(annotation, "__metadata__", ())
        for part in get_args(annotation):
            yield from below(part)

    return [mark for mark in (*field.metadata, *below(field.annotation)) if isinstance(mark, Place)]


def leaves(kind: type[Settings]) -> dict[str, FieldInfo]:
    """Every setting by its dotted key, nested ones too."""
    found: dict[str, FieldInfo] = {}
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            found |= {f"{name}.{key}": leaf for key, leaf in leaves(field.annotation).items()}
        else:
            found[name] = field
    return found


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of YAML 1.2: `1e-5` is a number, as everyone who writes it means."""


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The document of a YAML file, an empty mapping where the file is empty."""
    try:
        document = _yaml_value(Path(path).read_text())
        return {} if document is None else document
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give an existing YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


def read_document(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> tuple[Any, str]:
    """The document of a YAML file (an empty one without a file) under ``stage.key=value`` overrides, and what to call it.

    Raises:
        UserError: the file cannot be read, or an override is not of that form.
    """
    document = {} if path is None else read_yaml(path)
    for override in overrides:
        document = _override(document, override)
    source = " with ".join([*([str(path)] if path else []), *(["--set"] if overrides else [])])
    return document, source or "settings"


def _override(document: Any, override: str) -> Any:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(
            f"--set {override}: is not of the form stage.key=value, for example --set finetune.max_tokens=64"
        )
    try:
        value = _yaml_value(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not valid YAML: {' '.join(str(error).split())}") from None
    for part in reversed(key.split(".")):
        value = {part: value}
    return _merged(document, value)


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merged(below.get(key), value) for key, value in above.items()}
    return above


def _yaml_value(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)


def from_json(kind: type[AnySettings], text: str) -> AnySettings:
    """A stage's settings from its slice."""
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        raise UserError(f"settings of {kind.__name__}: are not JSON ({error})") from None
    return parse(kind, document, f"settings of {kind.__name__}")


def parse(kind: type[AnySettings], document: object, source: str) -> AnySettings:
    """Settings from a document.

    Raises:
        UserError: naming ``source``, the key and the remedy.
    """
    if not isinstance(document, dict):
        raise UserError(f"{source}: holds a {type(document).__name__}, but a mapping of settings is needed")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{source}: " + "; ".join(_explain(kind, fault) for fault in error.errors())) from None


def _explain(kind: type[Settings], fault: Any) -> str:
    place = [str(part) for part in fault["loc"]]
    key = ".".join(place)
    owner: type[Settings] | None = kind
    for part in fault["loc"][:-1]:
        if isinstance(part, int):  # the place in a list of them
            continue
        field = owner.model_fields.get(part) if owner else None
        owner = _settings_in(field.annotation) if field else None
    if owner:
        nested = place and fault["type"] == "model_type"
        if (fault["type"] == "extra_forbidden" or nested) and (today := owner.renamed.get(place[-1])):
            return f"{key!r} is now {'.'.join([*place[:-1], today])!r}"
        if fault["type"] == "extra_forbidden" and (why := owner.gone.get(place[-1])):
            return f"there is no setting {key!r} any more: {why}"
        if fault["type"] == "extra_forbidden":
            return f"there is no setting {key!r}; known here: {', '.join(sorted(owner.model_fields))}"
    given = fault.get("input")
    shown = f" (given: {given!r})" if not isinstance(given, dict) else ""
    return f"{key or 'settings'}: {fault['msg'].removeprefix('Value error, ')}{shown}"


def _settings_in(annotation: Any) -> type[Settings] | None:
    """The kind of settings that a field holds, as it is, where it may be left out, or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in get_args(annotation) if (found := _settings_in(part))), None)
