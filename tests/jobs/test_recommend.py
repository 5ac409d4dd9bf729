"""What is recommended for unlike data, each setting for a reason that cites what was measured."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from datasets.models import Data
from jobs.algorithms.base import validate_hyperparameters
from jobs.algorithms.registry import manifest
from jobs.checking.recommend import recommend, recommend_for
from jobs.readers.base import Recommendation
from tests.cast import Cast, make_cast, make_data, make_dataset
from tests.jobs.stage import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def photo(random: np.random.Generator, side: int) -> bytes:
    """A blurred patch of colours, as a JPEG."""
    small = random.integers(0, 255, (6, 6, 3)).astype(np.uint8)
    return encoded(np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)), "JPEG")


def digit(random: np.random.Generator, side: int) -> bytes:
    """White strokes on black, as a grey PNG."""
    pixels = np.zeros((side, side))
    row = random.integers(2, side - 4)
    pixels[row : row + 2, 3:-3] = 255
    return encoded(pixels, "PNG")


def images(cast: Cast, draw: Callable[[np.random.Generator, int], bytes], side: int, **counts: int) -> Data:
    random = np.random.default_rng(7)
    files, labels = [], {}
    for label, count in counts.items():
        for number in range(count):
            name = f"{label}-{number}"
            files.append((name, draw(random, side)))
            labels[name] = label
    return make_data(make_dataset(cast.project, f"{draw.__name__}-{side}"), files, name="made", labels=labels)


def best(cast: Cast, data: Data) -> Recommendation:
    (only,) = recommend(cast.project, [data.pk]).recommendations
    algorithm = manifest(only.algorithm)
    assert validate_hyperparameters(algorithm, only.hyperparameters) == only.hyperparameters
    defaults = algorithm.defaults(algorithm.variant_of(only.hyperparameters))
    changed = {name for name, value in only.hyperparameters.items() if value != defaults.get(name)}
    assert changed - {"num_types"} <= set(only.reasons), "what is not at its default needs a reason"
    assert all(any(letter.isdigit() for letter in reason) for reason in only.reasons.values())
    return only


def test_small_drawings_are_learned_from_nothing_and_not_mirrored(cast: Cast) -> None:
    advice = best(cast, images(cast, digit, 28, zero=60, one=60, two=60))
    chosen = advice.hyperparameters
    assert (chosen["network"], chosen["image_size"], chosen["flip_horizontal"]) == ("original", 64, False)
    assert "of the pixels" in advice.reasons["network"]
    assert "Not mirrored" in advice.reasons["flip_horizontal"]
    assert "28 x 28" in advice.reasons["image_size"]
    assert "180 images" in advice.reason
    assert "3 classes with 60 to 60" in advice.reason
    assert "33 %" in advice.reason


def test_colour_photos_start_from_the_pretrained_network_at_their_size(cast: Cast) -> None:
    advice = best(cast, images(cast, photo, 150, sea=60, forest=60))
    chosen = advice.hyperparameters
    assert (chosen["network"], chosen["image_size"]) == ("transfer", 192)
    assert "150 x 150 pixels, 60 in each class" in advice.reasons["network"]
    assert chosen["class_weight"] == "none"
    assert chosen["batch_size"] == 8
    assert "Steps in an epoch of 120 images: 2 with a batch of 100, 15 with 8" in advice.reasons["batch_size"]


def test_uneven_classes_are_weighted(cast: Cast) -> None:
    advice = best(cast, images(cast, photo, 96, sea=60, forest=12))
    assert advice.hyperparameters["class_weight"] == "balanced"
    assert "60 images and the smallest 12, 5.0 times fewer" in advice.reasons["class_weight"]
    assert advice.hyperparameters["image_size"] == 128
    assert advice.hyperparameters["validation_split"] == 0.2


def test_a_class_of_few_images_spares_none_to_measure_on(cast: Cast) -> None:
    advice = best(cast, images(cast, photo, 240, sea=8, forest=3))
    chosen = advice.hyperparameters
    assert (chosen["validation_split"], chosen["early_stopping"], chosen["image_size"]) == (0.0, False, 224)
    assert "only 3 images" in advice.reasons["validation_split"]


def test_tiny_photos_are_learned_from_nothing_with_mirrored_ones(cast: Cast) -> None:
    advice = best(cast, images(cast, photo, 32, sea=30, forest=30))
    chosen = advice.hyperparameters
    assert (chosen["network"], chosen["flip_horizontal"], chosen["rotation"]) == ("original", True, 10.0)
    assert "only 32 x 32 pixels" in advice.reasons["network"]
    assert "30 images in each class are few" in advice.reasons["rotation"]


def test_a_selection_is_judged_by_the_looks_of_what_it_was_made_from(cast: Cast) -> None:
    data = images(cast, digit, 28, zero=20, one=20)
    selected = Data.objects.get(pk=data.pk)
    selected.pk, selected.slug, selected.parent_id = None, "selected", data.pk
    selected.profile = {**data.profile, "saturation": None, "colour": None}
    selected._state.adding = True
    selected.save()
    for file in data.files.all():
        file.pk, file.data = None, selected
        file.save()
    assert "of the pixels" in best(cast, selected).reasons["network"]


def test_a_job_knows_what_is_recommended_for_its_data(cast: Cast) -> None:
    job = make_job(cast.project, images(cast, photo, 64, sea=12, forest=12))
    advice = recommend_for(job)
    assert advice
    assert advice.hyperparameters["network"] == "transfer"
    job.inputs.all().delete()
    assert recommend_for(job) is None
