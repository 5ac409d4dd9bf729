"""The devices that a training computes on, as one strategy."""

from typing import Any

from dlmodeler_site.compute.run_folder import RunError
from dlmodeler_site.sentences import Sentence as _


def strategy(gpus: int) -> Any:
    """The `tf.distribute.Strategy` for so many GPUs: one device as TensorFlow chooses it, or each of several the same.

    Raises:
        RunError: TensorFlow sees fewer GPUs.
    """
    import tensorflow as tf

    seen = tf.config.list_logical_devices("GPU")
    if gpus > len(seen):
        raise RunError(
            _(
                "The training was given %(gpus)d GPUs, but TensorFlow sees %(seen)d. "
                "The operator installs what it needs to see them with “make setup GPU=1”.",
                gpus=gpus,
                seen=len(seen),
            ),
            reason="no_gpu",
        )
    if gpus < 2:
        return tf.distribute.get_strategy()
    return mirrored([device.name for device in seen[:gpus]])


def models(gpus: int) -> list[str]:
    """What so many GPUs are called by their maker, in TensorFlow's order; "" for one that does not say."""
    import tensorflow as tf

    seen = tf.config.list_physical_devices("GPU")[:gpus]
    return [tf.config.experimental.get_device_details(device).get("device_name", "") for device in seen]


def mirrored(devices: list[str]) -> Any:
    """All variables on each of the devices, which share every batch."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)
