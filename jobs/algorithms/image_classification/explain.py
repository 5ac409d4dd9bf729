"""Heat maps of what speaks for a class (Grad-CAM), forward only: gradients are plain operations, so that any engine
runs them."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import layers

from jobs.algorithms.image_classification.model import ConvolutionBlock

# Coarser maps than this many cells each way do not tell where in the image something lies.
_FEWEST_CELLS = 8

Explain = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def explanation(network: keras.Model) -> Explain | None:
    """What explains `network` (uint8 images to logits): of its kind of layers; None where nothing fits them."""
    if any(isinstance(layer, ConvolutionBlock) for layer in network.layers):
        return gradient_maps(network)
    pools = [layer for layer in network.layers if isinstance(layer, layers.GlobalAveragePooling2D)]
    dense = network.layers[-1]
    if not pools or not isinstance(dense, layers.Dense):
        return None
    return activation_maps(keras.Model(network.inputs, pools[-1].input), dense)


def gradient_maps(network: keras.Sequential) -> Explain:
    """Grad-CAM of a network of `ConvolutionBlock`s and one dense layer.

    The function answers float32 (batch, h, w) in 0..1 for uint8 images (batch, height, width, 3) and int32 classes
    (batch,), h and w being those of the last block with 8 x 8 cells or more.
    """
    blocks = [layer for layer in network.layers if isinstance(layer, ConvolutionBlock)]
    dense = network.layers[-1]
    large = [block for block in blocks if min(block.output.shape[1:3]) >= _FEWEST_CELLS]
    explained = large[-1] if large else blocks[0]
    place = network.layers.index(explained) + 1
    below, above = network.layers[:place], blocks[blocks.index(explained) + 1 :]

    def explain(images: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        features = images
        for layer in below:
            features = layer(features, training=False)
        return _heat(features, _gradients(features, classes, above, dense))

    return explain


def activation_maps(features: Callable[[tf.Tensor], tf.Tensor], dense: layers.Dense) -> Explain:
    """Class activation maps, which Grad-CAM comes to where `dense` follows the average over `features` (b, h, w, c)."""

    def explain(images: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        maps = tf.cast(features(images), tf.float32)
        weights = tf.gather(tf.transpose(tf.convert_to_tensor(dense.kernel)), classes)
        return _heat(maps, weights[:, None, None, :])

    return explain


def _heat(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """The features that speak for the class, each weighted by its mean gradient, in parts of their maximum."""
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(features * weights, axis=-1))
    greatest = tf.reduce_max(heat, axis=(1, 2), keepdims=True)
    return heat / tf.maximum(greatest, 1e-12)


def _gradients(
    features: tf.Tensor, classes: tf.Tensor, blocks: Sequence[ConvolutionBlock], dense: layers.Dense
) -> tf.Tensor:
    """The gradient of each image's logit of its class with respect to `features`, through `blocks` and `dense`."""
    passed = []
    values = features
    for block in blocks:
        convolved = tf.nn.conv2d(values, block.kernel, strides=1, padding="SAME")
        pooled = tf.nn.max_pool2d(convolved, ksize=2, strides=2, padding="VALID")
        passed.append((block, convolved, pooled))
        values = tf.nn.relu(pooled + block.bias)
    flat = tf.gather(tf.transpose(tf.convert_to_tensor(dense.kernel)), classes)
    gradient = tf.reshape(flat, (-1, *values.shape[1:]))
    for block, convolved, pooled in reversed(passed):
        through_relu = gradient * tf.cast(pooled + block.bias > 0, gradient.dtype)
        # A convolution's gradient is the convolution with its kernel turned by 180 degrees, channels exchanged.
        turned = tf.transpose(tf.convert_to_tensor(block.kernel)[::-1, ::-1], (0, 1, 3, 2))
        gradient = tf.nn.conv2d(_unpool(through_relu, convolved, pooled), turned, strides=1, padding="SAME")
    return gradient


def _unpool(gradient: tf.Tensor, convolved: tf.Tensor, pooled: tf.Tensor) -> tf.Tensor:
    """The gradient of 2x2 max-pooling: to the greatest of each window, in equal parts where several are."""
    height, width, channels = pooled.shape[1:]
    odd = [[0, 0], *([0, size % 2] for size in convolved.shape[1:3]), [0, 0]]
    windows = tf.reshape(convolved[:, : 2 * height, : 2 * width], (-1, height, 2, width, 2, channels))
    greatest = tf.cast(tf.equal(windows, pooled[:, :, None, :, None]), gradient.dtype)
    share = greatest / tf.reduce_sum(greatest, axis=(2, 4), keepdims=True)
    spread = tf.reshape(share * gradient[:, :, None, :, None], (-1, 2 * height, 2 * width, channels))
    return tf.pad(spread, odd)
