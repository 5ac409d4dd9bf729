"""From pixels to the predictions that users see; the same for the server and for prediction jobs."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from datasets.inspection.images import fit_rgb, read_rgb, to_rgb
from datasets.preprocessing.operation import Step
from datasets.preprocessing.pipeline import apply_steps
from deployments.modelserver.predictions import Prediction, ranked, require_finite
from jobs.bundles.bundle import Bundle
from jobs.bundles.engine import Engine, Pixels
from jobs.bundles.explainer import Explainer

# More images at once are no faster on a CPU, and the activations of one image can take megabytes.
BATCH_SIZE = 8


class Predictor:
    """A loaded bundle, with the preprocessing `steps` that every image goes through first."""

    def __init__(self, bundle: Bundle, engine: Engine, steps: Sequence[Step] = (), *, threads: int = 1) -> None:
        self.bundle = bundle
        self.engine = engine
        self.steps = steps
        self.explainer = Explainer(bundle, threads=threads)

    def fit(self, pixels: Pixels) -> Pixels:
        """uint8 (height, width, 3) of any size, preprocessed, at the size of the network's input."""
        return self.fit_prepared(self.prepare(pixels))

    def prepare(self, pixels: Pixels) -> Pixels:
        """uint8 (height, width, 3) of any size after the preprocessing steps."""
        if self.steps:
            pixels = np.asarray(to_rgb(apply_steps(Image.fromarray(pixels), self.steps)))
        return pixels

    def fit_prepared(self, pixels: Pixels) -> Pixels:
        return fit_rgb(pixels, width=self.bundle.image.width, height=self.bundle.image.height)

    def warm_up(self) -> None:
        """Take a JPEG the whole way, so that the first user does not wait for what is loaded on first use."""
        black = io.BytesIO()
        Image.new("RGB", (self.bundle.image.width, self.bundle.image.height)).save(black, "JPEG")
        self.predict([self.fit(read_rgb(black.getvalue()))], top_k=1)

    def predict(self, images: Sequence[Pixels], *, top_k: int) -> list[Prediction]:
        """One prediction for each fitted image, in order; `top_k` is cut to the number of classes.

        Raises:
            NotFiniteError: the model answered something that is not a number.
        """
        predictions: list[Prediction] = []
        for start in range(0, len(images), BATCH_SIZE):
            probabilities = self.engine.predict(np.stack(images[start : start + BATCH_SIZE]))
            require_finite(probabilities, self.bundle)
            predictions += (ranked(row, self.bundle.labels, top_k=top_k) for row in probabilities)
        return predictions
