"""Which settings fit some images, each for a measured reason."""

import math

from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.advice import ImageFacts, Settings
from jobs.algorithms.base import Value
from jobs.algorithms.image_classification.manifest import IMAGE_CLASSIFICATION
from jobs.algorithms.image_classification.variants import ORIGINAL, TRANSFER

UNEVEN = 3  # times as many images as the smallest class, from which on classes are weighted
_TINY_PX = 48
_GREY = 8  # mean saturation of 255
_FLAT = 0.5  # of the pixels have one of two brightnesses: drawn, not photographed
_GRID_PX = 32  # image sizes are multiples of it
_LARGEST_PX = 224
_ENLARGED = 1.25  # the pretrained network tells photos apart better when they are enlarged a little
_STEPS = 10  # of an epoch, at least
_SMALLEST_BATCH = 8
_FEW = 50  # images in a class
_SPARED = 5  # images that the smallest class must have, so that some can be kept aside
_MANY = 10_000


def advise(facts: ImageFacts) -> Settings:
    """Hyperparameters that differ from the defaults of the network chosen, and why."""
    settings = Settings()
    is_drawn = _network(facts, settings)
    network = str(settings.hyperparameters["network"])
    _image_size(facts, settings, network)
    _measuring(facts, settings, network)
    _batches(facts, settings, network)
    if facts.most >= UNEVEN * facts.fewest:
        reason = _(
            "The largest class has %(most)d images and the smallest %(fewest)d, %(times).1f times fewer; weighted, "
            "each class counts the same.",
            most=facts.most,
            fewest=facts.fewest,
            times=facts.most / facts.fewest,
        )
        settings.set(reason, class_weight="balanced")
    _augmentation(facts, settings, network, is_drawn=is_drawn)
    return settings


def _network(facts: ImageFacts, settings: Settings) -> bool:
    """Choose the network; answers whether the images look drawn, as letters and digits do."""
    is_grey = facts.saturation is not None and facts.saturation < _GREY
    is_drawn = is_grey and facts.flat is not None and facts.flat > _FLAT
    if is_drawn:
        reason = _(
            "%(flat).0f %% of the pixels have one of two brightnesses and the mean saturation is %(saturation).0f of "
            "255: drawings, letters or digits rather than photos. What a network has learned from photos is of little "
            "use there.",
            flat=100 * (facts.flat or 0),
            saturation=facts.saturation,
        )
        settings.set(reason, network=ORIGINAL)
    elif facts.side < _TINY_PX:
        reason = _(
            "The images are only %(width).0f x %(height).0f pixels on average: too small to show what a network that "
            "has learned from photos looks for.",
            width=facts.width,
            height=facts.height,
        )
        settings.set(reason, network=ORIGINAL)
    else:
        values = {"width": facts.width, "height": facts.height, "mean": facts.per_class, "images": facts.images}
        if facts.saturation is not None and not is_grey:
            reason = _(
                "Colour images (mean saturation %(saturation).0f of 255) of %(width).0f x %(height).0f pixels, "
                "%(mean).0f in each class on average: a network that has learned from a million photos needs only "
                "learn the difference between these classes.",
                saturation=facts.saturation,
                **values,
            )
        else:
            reason = _(
                "Images of %(width).0f x %(height).0f pixels, %(mean).0f in each class on average: a network that has "
                "learned from a million photos needs only learn the difference between these classes.",
                **values,
            )
        settings.set(reason, network=TRANSFER)
    return is_drawn


def _image_size(facts: ImageFacts, settings: Settings, network: str) -> None:
    size = IMAGE_CLASSIFICATION.hyperparameter("image_size")
    largest = _LARGEST_PX if network == TRANSFER else int(_default("image_size", network))
    shown = facts.side * (_ENLARGED if network == TRANSFER else 1)
    fitting = int(min(max(_GRID_PX * math.floor(shown / _GRID_PX + 0.5), size.minimum or 0), largest))
    if fitting == _default("image_size", network):
        return
    values = {"width": facts.width, "height": facts.height, "size": fitting}
    if fitting > facts.side:
        reason = _(
            "The images are %(width).0f x %(height).0f pixels on average; %(size)d shows all of them, and larger ones "
            "take longer.",
            **values,
        )
    else:
        reason = _(
            "The images are %(width).0f x %(height).0f pixels on average; %(size)d shows their details in a "
            "reasonable time.",
            **values,
        )
    settings.set(reason, image_size=fitting)


def _measuring(facts: ImageFacts, settings: Settings, network: str) -> None:
    if facts.fewest < _SPARED:
        if _default("validation_split", network):
            reason = _("The smallest class has only %(fewest)d images: none can be kept aside.", fewest=facts.fewest)
            settings.set(reason, validation_split=0.0, early_stopping=False)
        return
    if facts.per_class < _FEW or network == ORIGINAL:
        share = 0.2
        reason = _(
            "Of %(images)d images, %(percent).0f %% kept aside are %(kept)d, on which the model is measured.",
            images=facts.images,
            percent=100 * share,
            kept=round(share * facts.images),
        )
        settings.set(reason, validation_split=share)
    if network == ORIGINAL:
        reason = _(
            "The network learns from nothing and knows the %(images)d images by heart at last; it stops once those "
            "kept aside are not told apart better any more, and keeps the best epoch.",
            images=facts.images,
        )
        settings.set(reason, early_stopping=True, restore_best=True)
        if facts.images > _MANY:
            epochs = 20
            reason = _(
                "%(images)d images make %(steps)d steps in each epoch: %(epochs)d epochs are enough.",
                images=facts.images,
                steps=facts.images // int(_default("batch_size", network)),
                epochs=epochs,
            )
            settings.set(reason, epochs=epochs)


def _batches(facts: ImageFacts, settings: Settings, network: str) -> None:
    batch = int(_default("batch_size", network))
    if facts.images >= _STEPS * batch:
        return
    fitting = max(_SMALLEST_BATCH, 1 << max(facts.images // _STEPS, 1).bit_length() - 1)
    if fitting < batch:
        reason = _(
            "Steps in an epoch of %(images)d images: %(few)d with a batch of %(batch)d, %(steps)d with %(fitting)d.",
            images=facts.images,
            few=-(-facts.images // batch),
            batch=batch,
            fitting=fitting,
            steps=-(-facts.images // fitting),
        )
        settings.set(reason, batch_size=fitting)


def _augmentation(facts: ImageFacts, settings: Settings, network: str, *, is_drawn: bool) -> None:
    if is_drawn:
        settings.reasons["flip_horizontal"] = _(
            "Not mirrored: drawn letters and digits (%(flat).0f %% of the pixels are plain) mean something else then.",
            flat=100 * (facts.flat or 0),
        )
    elif not _default("flip_horizontal", network):
        reason = _("Mirrored, the %(images)d images are twice as many to learn from.", images=facts.images)
        settings.set(reason, flip_horizontal=True)
    few = {"mean": facts.per_class}
    if facts.per_class >= 2 * _FEW:
        return
    if network == ORIGINAL:
        reason = _(
            "%(mean).0f images in each class are few: turned and moved a little, other ones are seen in every epoch.",
            **few,
        )
        settings.set(reason, rotation=10.0, shift=10.0)
    if facts.per_class < _FEW:
        reason = _(
            "%(mean).0f images in each class are few: with a part of the values left out they are not learned by "
            "heart so soon.",
            **few,
        )
        settings.set(reason, dropout_rate=0.2)


def _default(name: str, network: str) -> Value:
    value = IMAGE_CLASSIFICATION.hyperparameter(name).default_for(network)
    if value is None:
        raise ValueError(f"{name} has no default for {network}")
    return value
