"""Heat maps of what speaks for a class (Grad-CAM and the like), forward only: gradients are plain operations, so that
any engine runs them."""

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf
from keras import layers

from jobs.algorithms.image_classification.efficientnet_lite0 import BLOCKS, Block
from jobs.algorithms.image_classification.model import ConvolutionBlock

# Coarser maps than this many cells each way do not tell where in the image something lies.
_FEWEST_CELLS = 8
# Those of the pretrained network tell classes apart the better the later they are.
_FEWEST_PRETRAINED_CELLS = 6

Explain = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def explanation(network: keras.Model) -> Explain | None:
    """What explains `network` (uint8 images to logits): of its kind of layers; None where nothing fits them."""
    names = {layer.name for layer in network.layers}
    if any(isinstance(layer, ConvolutionBlock) for layer in network.layers):
        return gradient_maps(network)
    if names >= {"top", "logits", *(block.name("in") for block in BLOCKS)}:
        return contribution_maps(network)
    return None


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


def contribution_maps(network: keras.Model) -> Explain:
    """What each cell that goes into a late block of EfficientNet-Lite0 adds to the class: gradients times features.

    Not Grad-CAM: these features have both signs, so that their mean gradients say little, and each cell behind the last
    block sees all of the image, so that the class is often read beside the object. Only what speaks for the class is
    added up; of features above 0 that is layer-CAM (Jiang et al. 2021).

    The function is as that of `gradient_maps`; h and w are those of the last halving block's inputs, or where these
    have fewer than 6 x 6 cells of the one's before.
    """
    last, before = [block for block in reversed(BLOCKS) if block.stride > 1][:2]
    cells = min(network.get_layer(last.name("in")).output.shape[1:3])
    explained = last if cells >= _FEWEST_PRETRAINED_CELLS else before
    above = BLOCKS[explained.number :]
    convolutions = ["top", *(block.name(part) for block in above for part in ("expand", "depthwise"))]
    outputs = {name: network.get_layer(name).output for name in (explained.name("in"), *convolutions)}
    inner = keras.Model(network.inputs, outputs)

    def explain(images: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        seen = inner([images], training=False)
        of_features = _class_weights(network.get_layer("logits"), classes)[:, None, None, :]
        # The mean over all cells hands its gradient to each of them.
        of_cells = of_features / float(seen["top"].shape[1] * seen["top"].shape[2])
        gradients = _through_mix(of_cells * _passed(seen["top"]), network.get_layer("top"))
        for block in reversed(above):
            gradients = _through_block(gradients, block, network, seen)
        speaking = tf.nn.relu(gradients * seen[explained.name("in")])
        return _in_parts_of_maximum(tf.reduce_sum(speaking, axis=-1))

    return explain


def _class_weights(dense: layers.Dense, classes: tf.Tensor) -> tf.Tensor:
    """(batch, inputs): what each class's logit takes of the inputs above the mean of all: softmax sees no more."""
    kernel = tf.convert_to_tensor(dense.kernel)
    return tf.gather(tf.transpose(kernel - tf.reduce_mean(kernel, axis=1, keepdims=True)), classes)


def _heat(features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """The features that speak for the class, each weighted by its mean gradient, in parts of their maximum."""
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return _in_parts_of_maximum(tf.nn.relu(tf.reduce_sum(features * weights, axis=-1)))


def _in_parts_of_maximum(heat: tf.Tensor) -> tf.Tensor:
    greatest = tf.reduce_max(heat, axis=(1, 2), keepdims=True)
    return heat / tf.maximum(greatest, 1e-12)


def _gradients(
    features: tf.Tensor, classes: tf.Tensor, blocks: Sequence[ConvolutionBlock], dense: layers.Dense
) -> tf.Tensor:
    """The gradient of each image's logit of its class, above the mean of all, with respect to `features`."""
    passed = []
    values = features
    for block in blocks:
        convolved = tf.nn.conv2d(values, block.kernel, strides=1, padding="SAME")
        pooled = tf.nn.max_pool2d(convolved, ksize=2, strides=2, padding="VALID")
        passed.append((block, convolved, pooled))
        values = tf.nn.relu(pooled + block.bias)
    gradient = tf.reshape(_class_weights(dense, classes), (-1, *values.shape[1:]))
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


def _through_block(gradient: tf.Tensor, block: Block, network: keras.Model, seen: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The gradient of what goes into an inverted residual, from that of what comes out."""
    expand, depthwise, project = (network.get_layer(block.name(part)) for part in ("expand", "depthwise", "project"))
    inner = _through_mix(gradient, project) * _passed(seen[depthwise.name])
    inner = _through_depthwise(inner, depthwise, block, *seen[expand.name].shape[1:3])
    inner = _through_mix(inner * _passed(seen[expand.name]), expand)
    return gradient + inner if block.is_residual else inner


def _passed(convolved: tf.Tensor) -> tf.Tensor:
    """1 where ReLU6 lets the gradient through."""
    return tf.cast((convolved > 0) & (convolved < 6), convolved.dtype)


def _through_mix(gradient: tf.Tensor, convolution: layers.Conv2D) -> tf.Tensor:
    """Through a 1x1 convolution."""
    kernel = tf.transpose(tf.convert_to_tensor(convolution.kernel), (0, 1, 3, 2))
    return tf.nn.conv2d(gradient, kernel, strides=1, padding="SAME")


def _through_depthwise(
    gradient: tf.Tensor, convolution: layers.DepthwiseConv2D, block: Block, height: int, width: int
) -> tf.Tensor:
    """Through a convolution of each channel over (height, width): its turned kernel over gradients with gaps."""
    stride, size = block.stride, block.kernel
    rows, columns, channels = gradient.shape[1:]
    gap = (0, stride - 1)
    spread = tf.pad(gradient[:, :, None, :, None], ((0, 0), (0, 0), gap, (0, 0), gap, (0, 0)))
    spread = tf.reshape(spread, (-1, rows * stride, columns * stride, channels))
    pads = []
    for side, side_out in ((height, rows), (width, columns)):
        before = max((side_out - 1) * stride + size - side, 0) // 2  # as "same" pads
        pads.append((size - 1 - before, side - side_out * stride + before))
    padded = tf.pad(spread, ((0, 0), *pads, (0, 0)))
    turned = tf.convert_to_tensor(convolution.kernel)[::-1, ::-1]
    return tf.nn.depthwise_conv2d(padded, turned, (1, 1, 1, 1), "VALID")
