"""From the cells of rows to the predictions that users see; the same for the server and for prediction jobs."""

from typing import Any

import numpy as np

from deployments.modelserver.predictions import Prediction, ValuePrediction, ranked, require_finite
from jobs.bundles.bundle import Bundle
from jobs.bundles.engine import Cells, Engine

# The cells of so many rows at once cost little beside what TensorFlow takes for a call.
ROWS_AT_ONCE = 1000


class TablePredictor:
    """A loaded bundle of a model that reads tables."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine
        self.table = bundle.table

    def warm_up(self) -> None:
        """Predict two rows: the engine has seen one already, and sets up for others at the first that differ."""
        empty: Any = np.full((2, len(self.table.columns)), "", object)
        self.predict(empty, top_k=1)

    def predict(self, cells: Cells, *, top_k: int) -> list[Prediction] | list[ValuePrediction]:
        """One prediction for each row of texts (row, column), in order; `top_k` is cut to the number of classes.

        Raises:
            NotFiniteError: the model answered something that is not a number.
        """
        chunks = [self.engine.predict(cells[at : at + ROWS_AT_ONCE]) for at in range(0, len(cells), ROWS_AT_ONCE)]
        answers = np.concatenate(chunks)
        require_finite(answers, self.bundle)
        if self.bundle.task == "regression":
            # The shortest text that is this float32: 12.3 and not 12.300000190734863.
            return [ValuePrediction(float(str(value))) for value in answers]
        return [ranked(row, self.bundle.labels, top_k=top_k) for row in answers]
