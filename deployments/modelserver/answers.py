"""What a request for predictions is answered, for each kind of input."""

from typing import Any

from deployments.modelserver.errors import RequestError
from deployments.modelserver.explaining import Query, explanation_wanted
from deployments.modelserver.inputs import read_images
from deployments.modelserver.predictor import Predictor
from deployments.modelserver.protocol import DEFAULT_TOP_K
from deployments.modelserver.rows import read_table
from deployments.modelserver.table_predictor import TablePredictor
from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle


def answer_images(predictor: Predictor, body: bytes, *, content_type: str, query: Query) -> dict[str, Any]:
    """`{"predictions": […]}` of the images in a body, with `?explain=1` each with its `heatmap`.

    Raises RequestError, NotFiniteError.
    """
    top_k = top_k_of(query, predictor.bundle)
    explanation = explanation_wanted(query, predictor)
    fit = predictor.fit if explanation is None else explanation.fit
    predictions = predictor.predict(read_images(body, content_type=content_type, fit=fit), top_k=top_k)
    answered = [prediction.as_json() for prediction in predictions]
    if explanation is not None:
        for each, heatmap in zip(answered, explanation.heatmaps(predictions), strict=True):
            each["heatmap"] = heatmap
    return {"predictions": answered}


def answer_rows(predictor: TablePredictor, body: bytes, *, content_type: str, query: Query) -> dict[str, Any]:
    """The same of the rows in a body; with `?rows=1` the rows too, as they were received.

    `ignored_columns` is there where the model does not read some.
    """
    top_k = top_k_of(query, predictor.bundle)
    rows = read_table(body, content_type=content_type, of=predictor.table)
    predictions = predictor.predict(rows.cells, top_k=top_k)
    answer: dict[str, Any] = {"predictions": [prediction.as_json() for prediction in predictions]}
    if rows.ignored:
        answer["ignored_columns"] = list(rows.ignored)
    if query.get("rows") == ["1"]:
        answer |= {"columns": list(rows.names), "rows": rows.received}
    return answer


def top_k_of(query: Query, bundle: Bundle) -> int:
    """How many classes a prediction shall tell. Raises RequestError where `?top_k=` asks for what there is not."""
    classes = len(bundle.labels)
    values = query.get("top_k")
    if values is None:
        return min(DEFAULT_TOP_K, classes)
    if bundle.task == "regression":
        raise RequestError(
            _("This deployment answers numbers and has no classes: leave top_k out."),
            status=400,
            reason="invalid_top_k",
        )
    text = values[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= classes):
        raise RequestError(
            _(
                "top_k must be a whole number from 1 to %(classes)d, the number of classes; %(received)s was received.",
                classes=classes,
                received=repr(text),
            ),
            status=400,
            reason="invalid_top_k",
            details={"minimum": 1, "maximum": classes},
        )
    return int(text)
