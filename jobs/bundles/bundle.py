"""A bundle: the folder that a training exports and a model server serves (docs/contracts.md)."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.errors import BundleError

SCHEMA = 1
ENGINES = ("openvino", "tensorflow")
PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True)
class Label:
    """One output of the network: the integer of the label data and the class name, when one was given."""

    label: int
    class_name: str | None


@dataclass(frozen=True)
class ImageInput:
    """The network's input, uint8 (batch, height, width, 3)."""

    height: int
    width: int
    dtype: str = "uint8"
    kind: str = "image"

    @property
    def shape(self) -> list[int | None]:
        return [None, self.height, self.width, 3]


@dataclass(frozen=True)
class EngineChoice:
    """The engine that passed the gate, at which precision, and how far it was from the SavedModel."""

    name: str
    precision: str
    max_difference: float | None = None


@dataclass(frozen=True)
class ModelInfo:
    name: str
    created_at: str
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """`labels[i]` names output `i` of the network."""

    path: Path
    algorithm: str
    model: ModelInfo
    input: ImageInput
    labels: tuple[Label, ...]
    engine: EngineChoice

    @property
    def openvino_model(self) -> Path:
        return self.path / "engine" / "model.xml"

    @property
    def saved_model(self) -> Path:
        return self.path / "saved_model.pb"


def load_bundle(path: Path) -> Bundle:
    """Read and check `bundle.json`.

    Raises:
        BundleError: it is missing, is not JSON, or a field is not what docs/contracts.md asks for.
    """
    try:
        value = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(_("The model has no bundle.json. Export the training again.")) from None
    except OSError as error:
        raise _unreadable(error.strerror or type(error).__name__) from None
    except ValueError as error:
        raise _unreadable(str(error)) from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        received = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise BundleError(
            _(
                "bundle.json: schema %(expected)d was expected, %(received)s was received.",
                expected=SCHEMA,
                received=repr(received),
            )
        )
    model = _get(value, "model", dict)
    return Bundle(
        path=path,
        algorithm=_get(value, "algorithm", str),
        model=ModelInfo(
            name=_get(model, "name", str),
            created_at=_get(model, "created_at", str),
            metrics=_get(model, "metrics", dict, default={}),
        ),
        input=_read_input(_get(value, "input", dict)),
        labels=_read_labels(_get(value, "labels", list)),
        engine=_read_engine(_get(value, "engine", dict)),
    )


def _unreadable(cause: str) -> BundleError:
    return BundleError(_("bundle.json cannot be read: %(cause)s. Export the training again.", cause=cause))


def _get(value: dict[str, Any], name: str, kind: type, *, default: Any = None) -> Any:
    found = value.get(name, default)
    if not isinstance(found, kind):
        raise BundleError(
            _(
                "bundle.json: %(name)s must be a %(kind)s, %(received)s was received.",
                name=repr(name),
                kind=kind.__name__,
                received=repr(found),
            )
        )
    return found


def _read_input(value: dict[str, Any]) -> ImageInput:
    kind, shape, dtype = value.get("kind"), value.get("shape"), value.get("dtype")
    match (kind, dtype, shape):
        case ("image", "uint8", [None, int(height), int(width), 3]) if height > 0 and width > 0:
            return ImageInput(height=height, width=width)
    raise BundleError(
        _(
            "bundle.json: the input must be an image of dtype uint8 and shape [null, height, width, 3], "
            "%(kind)s of dtype %(dtype)s and shape %(shape)s was received.",
            kind=repr(kind),
            dtype=repr(dtype),
            shape=repr(shape),
        )
    )


def _read_labels(rows: list[Any]) -> tuple[Label, ...]:
    labels = []
    for index, row in enumerate(rows):
        match row:
            case {"label": int(label), "class_name": str() | None as class_name}:
                labels.append(Label(label=label, class_name=class_name))
            case _other:
                raise BundleError(
                    _(
                        "bundle.json: %(place)s must be %(example)s, %(received)s was received.",
                        place=f"labels[{index}]",
                        example='{"label": integer, "class_name": text or null}',
                        received=repr(row),
                    )
                )
    if not labels:
        raise BundleError(_("bundle.json: 'labels' is empty; one entry for each output of the network was expected."))
    return tuple(labels)


def _read_engine(value: dict[str, Any]) -> EngineChoice:
    name, precision = value.get("name"), value.get("precision")
    if name not in ENGINES or precision not in PRECISIONS:
        raise BundleError(
            _(
                "bundle.json: the engine must be one of %(engines)s at one of %(precisions)s, "
                "%(name)s at %(precision)s was received.",
                engines=", ".join(ENGINES),
                precisions=", ".join(PRECISIONS),
                name=repr(name),
                precision=repr(precision),
            )
        )
    difference = value.get("max_difference")
    return EngineChoice(
        name=name, precision=precision, max_difference=None if difference is None else float(difference)
    )
