"""A bundle: the folder that a training exports and a model server serves (docs/contracts.md)."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.modelserver.errors import BundleError

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
    file = path / "bundle.json"
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"There is no bundle.json in {path}. Export the training again.") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read as JSON: {error}. Export the training again.") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        received = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise BundleError(f"{file}: schema {SCHEMA} was expected, {received!r} was received.")
    model = _get(file, value, "model", dict)
    return Bundle(
        path=path,
        algorithm=_get(file, value, "algorithm", str),
        model=ModelInfo(
            name=_get(file, model, "name", str),
            created_at=_get(file, model, "created_at", str),
            metrics=_get(file, model, "metrics", dict, default={}),
        ),
        input=_read_input(file, _get(file, value, "input", dict)),
        labels=_read_labels(file, _get(file, value, "labels", list)),
        engine=_read_engine(file, _get(file, value, "engine", dict)),
    )


def _get(file: Path, value: dict[str, Any], name: str, kind: type, *, default: Any = None) -> Any:
    found = value.get(name, default)
    if not isinstance(found, kind):
        raise BundleError(f"{file}: {name!r} must be a {kind.__name__}, {found!r} was received.")
    return found


def _read_input(file: Path, value: dict[str, Any]) -> ImageInput:
    kind, shape, dtype = value.get("kind"), value.get("shape"), value.get("dtype")
    match (kind, dtype, shape):
        case ("image", "uint8", [None, int(height), int(width), 3]) if height > 0 and width > 0:
            return ImageInput(height=height, width=width)
    raise BundleError(
        f"{file}: the input must be an image of dtype uint8 and shape [null, height, width, 3], "
        f"{kind!r} of dtype {dtype!r} and shape {shape!r} was received."
    )


def _read_labels(file: Path, rows: list[Any]) -> tuple[Label, ...]:
    labels = []
    for index, row in enumerate(rows):
        match row:
            case {"label": int(label), "class_name": str() | None as class_name}:
                labels.append(Label(label=label, class_name=class_name))
            case _:
                raise BundleError(
                    f'{file}: labels[{index}] must be {{"label": integer, "class_name": text or null}}, '
                    f"{row!r} was received."
                )
    if not labels:
        raise BundleError(f"{file}: 'labels' is empty; one entry for each output of the network was expected.")
    return tuple(labels)


def _read_engine(file: Path, value: dict[str, Any]) -> EngineChoice:
    name, precision = value.get("name"), value.get("precision")
    if name not in ENGINES or precision not in PRECISIONS:
        raise BundleError(
            f"{file}: the engine must be one of {', '.join(ENGINES)} at one of {', '.join(PRECISIONS)}, "
            f"{name!r} at {precision!r} was received."
        )
    difference = value.get("max_difference")
    return EngineChoice(
        name=name, precision=precision, max_difference=None if difference is None else float(difference)
    )
