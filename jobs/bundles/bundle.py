"""A bundle: the folder that a training exports and a model server serves (docs/contracts.md)."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.errors import BundleError

SCHEMA = 1
KERAS_FILE = "model.keras"
ENGINES = ("openvino", "tensorflow")
PRECISIONS = ("f32", "bf16")

Task = Literal["classification", "regression"]
ColumnType = Literal["number", "category", "text", "date"]


@dataclass(frozen=True)
class Label:
    """One output of the network: what the label data call the class, and the class name, when one was given.

    The label of an image is an integer; that of a row is the text of its class where that is no integer.
    """

    label: int | str
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

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "shape": self.shape, "dtype": self.dtype}


@dataclass(frozen=True)
class TableColumn:
    """A column that every row must have, or may lack where it is `optional`: then its value is missing."""

    name: str
    type: ColumnType
    examples: tuple[str, ...] = ()
    optional: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "examples": list(self.examples), "optional": self.optional}


@dataclass(frozen=True)
class TableInput:
    """The model's input, texts (batch, columns): each cell as it is written in a csv, "" where it is missing.

    `left_out`: columns that the table of the training had beside these and the target.
    """

    columns: tuple[TableColumn, ...]
    target: str
    left_out: tuple[str, ...] = ()
    dtype: str = "string"
    kind: str = "table"

    @property
    def shape(self) -> list[int | None]:
        return [None, len(self.columns)]

    def as_json(self) -> dict[str, Any]:
        columns = [column.as_json() for column in self.columns]
        told = {
            "kind": self.kind,
            "shape": self.shape,
            "dtype": self.dtype,
            "columns": columns,
            "target": self.target,
        }
        return told | ({"left_out": list(self.left_out)} if self.left_out else {})


@dataclass(frozen=True)
class EngineChoice:
    """The engine that passed the gate, at which precision, and how far it was from the SavedModel.

    `gate`: what was found of it and of others (docs/contracts.md).
    """

    name: str
    precision: str
    max_difference: float | None = None
    gate: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ModelInfo:
    name: str
    created_at: str
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """`labels[i]` names output `i` of the network; a regression has none and answers one number for each sample."""

    path: Path
    algorithm: str
    model: ModelInfo
    input: ImageInput | TableInput
    labels: tuple[Label, ...]
    engine: EngineChoice
    task: Task = "classification"

    @property
    def output(self) -> str:
        """The name of what the network answers: probabilities (batch, classes), or values (batch,)."""
        return "probabilities" if self.task == "classification" else "values"

    @property
    def image(self) -> ImageInput:
        """The input of a model of images; BundleError where it is a model of tables."""
        if not isinstance(self.input, ImageInput):
            raise BundleError(_("bundle.json: an image was expected as input, a table was received."))
        return self.input

    @property
    def table(self) -> TableInput:
        """The input of a model of tables; BundleError where it is a model of images."""
        if not isinstance(self.input, TableInput):
            raise BundleError(_("bundle.json: a table was expected as input, an image was received."))
        return self.input

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
    task = _read_task(value.get("task", "classification"))
    given = read_input(_get(value, "input", dict))
    labels = _get(value, "labels", list) if task == "classification" else []
    return Bundle(
        path=path,
        algorithm=_get(value, "algorithm", str),
        model=ModelInfo(
            name=_get(model, "name", str),
            created_at=_get(model, "created_at", str),
            metrics=_get(model, "metrics", dict, default={}),
        ),
        input=given,
        labels=_read_labels(labels, of=given) if task == "classification" else (),
        engine=_read_engine(_get(value, "engine", dict)),
        task=task,
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


def _read_task(value: Any) -> Task:
    for task in get_args(Task):
        if value == task:
            return task  # type: ignore[no-any-return]
    raise BundleError(
        _(
            "bundle.json: the task must be one of %(tasks)s, %(received)s was received.",
            tasks=", ".join(get_args(Task)),
            received=repr(value),
        )
    )


def read_input(value: dict[str, Any]) -> ImageInput | TableInput:
    """The input that `bundle.json` tells. Raises BundleError where it is none."""
    match value:
        case {"kind": "table"}:
            columns = tuple(map(_read_column, _get(value, "columns", list)))
            if not columns:
                raise BundleError(_("bundle.json: the input has no columns; at least one was expected."))
            left_out = tuple(map(str, value.get("left_out") or ()))
            return TableInput(columns=columns, target=_get(value, "target", str), left_out=left_out)
        case {"kind": "image", "dtype": "uint8", "shape": [None, int(height), int(width), 3]} if min(height, width) > 0:
            return ImageInput(height=height, width=width)
    raise BundleError(
        _(
            "bundle.json: the input must be a table with columns, or an image of dtype uint8 and shape "
            "[null, height, width, 3]; %(kind)s of dtype %(dtype)s and shape %(shape)s was received.",
            kind=repr(value.get("kind")),
            dtype=repr(value.get("dtype")),
            shape=repr(value.get("shape")),
        )
    )


def _read_column(row: Any) -> TableColumn:
    match row:
        case {"name": str(name), "type": "number" | "category" | "text" | "date" as kind}:
            examples, optional = row.get("examples") or [], row.get("optional", False)
            if isinstance(examples, list) and isinstance(optional, bool):
                return TableColumn(name, kind, tuple(map(str, examples)), optional)
    raise BundleError(
        _(
            "bundle.json: a column must be %(example)s, %(received)s was received.",
            example='{"name": text, "type": %s, "examples": [text, …]}' % " or ".join(get_args(ColumnType)),  # noqa: UP031
            received=repr(row),
        )
    )


def _read_labels(rows: list[Any], *, of: ImageInput | TableInput) -> tuple[Label, ...]:
    labels = []
    for index, row in enumerate(rows):
        match row:
            case {"label": int(label), "class_name": str() | None as class_name}:
                labels.append(Label(label=label, class_name=class_name))
            case {"label": str(text), "class_name": str() | None as class_name} if isinstance(of, TableInput):
                labels.append(Label(label=text, class_name=class_name))
            case _other:
                kind = "integer" if isinstance(of, ImageInput) else "integer or text"
                raise BundleError(
                    _(
                        "bundle.json: %(place)s must be %(example)s, %(received)s was received.",
                        place=f"labels[{index}]",
                        example=f'{{"label": {kind}, "class_name": text or null}}',
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
        name=name,
        precision=precision,
        max_difference=None if difference is None else float(difference),
        gate=_get(value, "gate", dict, default={}),
    )
