"""Heat maps beside predictions: what in an image spoke for a class (`?explain=1`)."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from deployments.modelserver.errors import RequestError
from deployments.modelserver.predictions import Prediction
from deployments.modelserver.predictor import Predictor
from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle
from jobs.bundles.engine import Pixels
from jobs.bundles.errors import BundleError
from jobs.bundles.explainer import LONGER_SIDE_PX, can_explain, painted
from jobs.evaluation.samples import LabelMap

Query = dict[str, list[str]]

_NAMED = 10


@dataclass
class Explanation:
    """Keeps the images of one request, small enough to be painted, and answers their heat maps.

    `output` is the class that is asked for; None: of each image the one that is predicted.
    """

    predictor: Predictor
    output: int | None
    _shown: list[Pixels] = field(default_factory=list)
    _fitted: list[Pixels] = field(default_factory=list)

    def fit(self, pixels: Pixels) -> Pixels:
        """As the predictor's `fit`."""
        prepared = self.predictor.prepare(pixels)
        picture = Image.fromarray(prepared)
        picture.thumbnail((LONGER_SIDE_PX, LONGER_SIDE_PX))
        self._shown.append(np.asarray(picture))
        self._fitted.append(self.predictor.fit_prepared(prepared))
        return self._fitted[-1]

    def heatmaps(self, predictions: Sequence[Prediction]) -> list[str]:
        """A PNG in base64 of each image, under its heat map.

        Raises:
            RequestError: the explaining network does not load.
        """
        place = {label.label: output for output, label in enumerate(self.predictor.bundle.labels)}
        outputs = [place[each.top[0].label] if self.output is None else self.output for each in predictions]
        try:
            heat = self.predictor.explainer.heatmaps(self._fitted, outputs)
        except BundleError as error:
            raise _unavailable(error.message) from error
        return [
            base64.b64encode(painted(pixels, each)).decode() for pixels, each in zip(self._shown, heat, strict=True)
        ]


def explanation_wanted(query: Query, predictor: Predictor) -> Explanation | None:
    """What `?explain=1` and `&class=` ask for, None where they do not. Raises RequestError."""
    value = query.get("explain", ["0"])[-1]
    if value in ("0", "false"):
        return None
    if value not in ("1", "true"):
        raise RequestError(
            _("explain must be 1 or 0, %(received)s was received.", received=repr(value[:100])),
            status=400,
            reason="invalid_explain",
        )
    if not can_explain(predictor.bundle):
        raise _unavailable(_("its bundle has no engine/explain.xml"))
    return Explanation(predictor, _output(query, predictor.bundle))


def _output(query: Query, bundle: Bundle) -> int | None:
    values = query.get("class")
    if values is None:
        return None
    output = LabelMap(bundle.labels).index(values[-1])
    if output is None:
        known = [str(label.class_name or label.label) for label in bundle.labels]
        raise RequestError(
            _(
                "The model has no class %(received)s. Choose one of %(known)s, or leave class out.",
                received=repr(values[-1][:100]),
                known=", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else ""),
            ),
            status=400,
            reason="invalid_class",
        )
    return output


def _unavailable(why: str) -> RequestError:
    return RequestError(
        _(
            "This model cannot explain its answers: %(why)s. Send the request without “explain”, or train again and "
            "deploy that model.",
            why=why,
        ),
        status=501,
        reason="explain_unavailable",
    )
