"""What the page of an evaluation draws: the confusion matrix, charts, figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from dlmodeler_site.sentences import from_json
from jobs.evaluating.evaluated import Summarised, class_names, is_regression
from jobs.evaluating.rows import Value
from jobs.models import Evaluation

MOST_CLASSES = 30  # of a matrix that is drawn; beyond, the pairs that are confused most
BESIDE = 10
SHADES = 9


@dataclass(frozen=True)
class MatrixCell:
    """So many samples of the class of the row were predicted to be of the class of the column."""

    count: int
    share: float  # of the row
    is_right: bool
    true: str
    predicted: str
    query: str

    @property
    def shade(self) -> int:
        """0 (none) to 9 (the whole row)."""
        return min(1 + int(self.share * SHADES), SHADES) if self.count else 0

    @property
    def words(self) -> str:
        return _("True: %(true)s, predicted: %(predicted)s: %(count)s (%(share).0f %% of the class)") % {
            "true": self.true,
            "predicted": self.predicted,
            "count": self.count,
            "share": 100 * self.share,
        }


@dataclass(frozen=True)
class MatrixRow:
    name: str
    support: int
    query: str
    cells: list[MatrixCell]


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix: a row for each true class, a column for each predicted one."""

    columns: list[tuple[str, str]]  # name and query
    rows: list[MatrixRow]

    @property
    def is_small(self) -> bool:
        """Whether there is room for something beside it."""
        return len(self.rows) <= BESIDE


def cell_query(**labels: Value) -> str:
    """The query of the samples with these labels: "true=1&predicted=2"."""
    return urlencode(labels)


def matrix(evaluation: Summarised) -> Matrix | None:
    """Of what has a summary with a confusion; None where there are too many classes to draw, or none."""
    counts = evaluation.summary.get("confusion")
    names = list(class_names(evaluation).items())
    if not counts or len(counts) > MOST_CLASSES:
        return None
    rows = []
    for (true, true_name), row in zip(names, counts, strict=True):
        support = sum(row)
        cells = [
            MatrixCell(
                count,
                count / support if support else 0.0,
                true == predicted,
                true_name,
                predicted_name,
                cell_query(true=true, predicted=predicted),
            )
            for (predicted, predicted_name), count in zip(names, row, strict=True)
        ]
        rows.append(MatrixRow(true_name, support, cell_query(true=true), cells))
    return Matrix([(name, cell_query(predicted=label)) for label, name in names], rows)


def most_confused(evaluation: Summarised) -> list[dict[str, Any]]:
    """The pairs that are taken for each other most often, with what share of the class they are."""
    names = class_names(evaluation)
    support = {row["label"]: row["support"] for row in evaluation.summary.get("per_class", [])}
    return [
        {
            "true": names.get(pair["true"], pair["true"]),
            "predicted": names.get(pair["predicted"], pair["predicted"]),
            "count": pair["count"],
            "share": 100 * pair["count"] / support[pair["true"]] if support.get(pair["true"]) else None,
            "query": cell_query(true=pair["true"], predicted=pair["predicted"]),
        }
        for pair in evaluation.summary.get("most_confused", [])
    ]


def class_rows(evaluation: Summarised) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each class, for a table that sorts them."""
    names = class_names(evaluation)
    return [
        {**row, "name": names[row["label"]], "query": cell_query(true=row["label"])}
        for row in evaluation.summary.get("per_class", [])
    ]


@dataclass(frozen=True)
class Figure:
    """A number of the headline."""

    label: str
    value: str
    icon: str
    hint: str = ""


def figures(evaluation: Summarised) -> list[Figure]:
    """The numbers that say how good the model is, those of them that were measured."""
    summary = evaluation.summary
    whole = _("of %(count)s") % {"count": summary["of"]} if summary.get("of", 0) > summary["samples"] else ""
    samples = Figure(_("Measured on"), str(summary["samples"]), "list", whole)
    if is_regression(evaluation):
        return [
            Figure(_("R²"), _digits(summary["r2"]), "target", _("1 is perfect, 0 as good as the mean")),
            Figure(_("Mean absolute error"), _digits(summary["mae"]), "activity"),
            Figure(_("Root mean square error"), _digits(summary["rmse"]), "activity"),
            samples,
        ]
    shown = [Figure(_("Accuracy"), _percent(summary["accuracy"]), "target")]
    if "loss" in summary:
        shown.append(Figure(_("Loss"), _digits(summary["loss"]), "activity", _("cross entropy")))
    shown.append(
        Figure(_("Macro F1"), _percent(summary["macro"]["f1"]), "adjustments", _("every class counts the same"))
    )
    if "calibration" in summary:
        error = _percent(summary["calibration"]["ece"])
        shown.append(Figure(_("Calibration error"), error, "chart-line", _("how far probabilities are off")))
    return [*shown, samples]


def precision_words(evaluation: Evaluation) -> str:
    """Why the model is served at its precision, in a sentence; "" where its bundle does not tell."""
    engine = evaluation.summary.get("engine", {})
    if fallback := engine.get("fallback"):
        return _("Not as its bundle says: %(why)s.") % {"why": from_json(fallback)}
    gate = engine.get("gate") or {}
    f32, bf16 = gate.get("f32") or {}, gate.get("bf16") or {}
    values = {"samples": gate.get("samples", 0)}
    for name, measured in (("f32", f32), ("bf16", bf16)):
        values |= {f"{name}_{key}": _percent(measured.get(key)) for key in ("agreement", "accuracy")}
        values[f"{name}_ms"] = _digits(measured.get("cpu_ms"))
    words = {
        "": _(
            "In bfloat16 it gives the class of the SavedModel for %(bf16_agreement)s of %(samples)s samples "
            "(float32: %(f32_agreement)s), is right for %(bf16_accuracy)s of them (%(f32_accuracy)s) and takes "
            "%(bf16_ms)s ms for one (%(f32_ms)s ms)."
        ),
        "other_classes": _(
            "It is not served in bfloat16, which gives the class of the SavedModel for %(bf16_agreement)s of "
            "%(samples)s samples only."
        ),
        "less_accurate": _(
            "It is not served in bfloat16, which is right for %(bf16_accuracy)s of %(samples)s samples and float32 "
            "for %(f32_accuracy)s."
        ),
        "not_faster": _(
            "It is not served in bfloat16, which is hardly faster here: %(bf16_ms)s ms for a sample and float32 "
            "%(f32_ms)s ms."
        ),
        "no_bfloat16": _("It is not served in bfloat16, which the CPU that it was trained on does not have."),
        "float32_wanted": _("It is not served in bfloat16, as the precision float32 was chosen."),
        "no_engine": _("It is served by TensorFlow, as OpenVINO cannot convert it or answers otherwise."),
        "table": _("Models of tables are always served in float32."),
    }
    return words.get(gate.get("refused", "?"), "") % values


def baselines(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Simple models measured on the same samples, with the model itself first; empty where there are none."""
    told = evaluation.summary.get("baselines") or []
    key = "r2" if is_regression(evaluation) else "accuracy"
    if not told:
        return []
    titles = {
        "majority": _("Always the most frequent class"),
        "mean": _("Always the mean"),
        "linear_regression": _("Linear regression"),
        "ridge_regression": _("Ridge regression"),
        "logistic_regression": _("Logistic regression"),
    }
    rows = [{"name": _("This model"), "value": evaluation.summary.get(key), "is_model": True}]
    rows += [{"name": titles.get(each["name"], each["name"]), "value": each.get(key)} for each in told]
    for row in rows:
        row["text"] = _digits(row["value"]) if key == "r2" else _percent(row["value"])
    return rows


@dataclass(frozen=True)
class Chart:
    """`data` is what the kind of chart in charts.js takes."""

    name: str
    title: str
    kind: str
    data: dict[str, Any]
    note: str = ""
    size: str = ""

    @property
    def source(self) -> str:
        """The id of the element that holds the data."""
        return f"chart-{self.name}"


def charts(evaluation: Evaluation) -> list[Chart]:
    """Those of which there is something to show."""
    return [*(_of_numbers(evaluation.summary) if is_regression(evaluation) else _of_classes(evaluation.summary))]


def _of_classes(summary: dict[str, Any]) -> Iterator[Chart]:
    if summary["samples"]:
        words = {"accuracy": _("Accuracy"), "confidence": _("Mean probability"), "samples": _("Samples")}
        note = _("How often the model was right, by how sure it was. On the line its probabilities can be believed.")
        data = {"bins": summary["calibration"]["bins"], "words": words}
        yield Chart("calibration", _("Calibration"), "calibration", data, note, size="sm")


def _of_numbers(summary: dict[str, Any]) -> Iterator[Chart]:
    points = summary["residuals"]["points"]
    if not points:
        return
    predicted, true, residual = _("Predicted"), _("True"), _("True minus predicted")
    pairs = [[one + rest, one] for one, rest in points]
    yield Chart(
        "predicted",
        _("Predicted and true"),
        "scatter",
        {"points": pairs, "x": true, "y": predicted, "line": "equal"},
        _("On the line the model is right."),
    )
    yield Chart(
        "residuals",
        _("Residuals"),
        "scatter",
        {"points": points, "x": predicted, "y": residual, "line": "zero"},
        _("They should lie evenly around 0: a bend or a funnel is something that the model has not learnt."),
    )
    histogram = {**summary["residuals"]["histogram"], "unit": "", "name": _("Samples")}
    yield Chart("spread", _("How far it is off"), "histogram", histogram, residual)


def importance(evaluation: Evaluation) -> Chart | None:
    """How much each column of a table matters; None where that was not measured."""
    columns = evaluation.summary.get("importance") or []
    if not columns:
        return None
    bars = {"labels": [each["name"] for each in columns], "values": [each["importance"] for each in columns]}
    note = _("How much worse the model gets when a column is shuffled")
    return Chart("importance", _("Columns that matter"), "bars", bars, note)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
