"""What image classification reads and can be told."""

from dlmodeler_site.sentences import gettext_noop
from jobs.algorithms.base import Hyperparameter, Input, Manifest

IMAGE_SIZE_PX = 128
_FILTERS = (
    (20, gettext_noop("Filters of block 1")),
    (40, gettext_noop("Filters of block 2")),
    (60, gettext_noop("Filters of block 3")),
    (80, gettext_noop("Filters of block 4")),
    (100, gettext_noop("Filters of block 5")),
    (100, gettext_noop("Filters of block 6")),
)

BLOCKS = len(_FILTERS)

IMAGE_CLASSIFICATION = Manifest(
    name="image_classification",
    title=gettext_noop("Image classification"),
    summary=gettext_noop(
        "Learns to tell which class an image belongs to: a convolutional network of six blocks, trained from scratch."
    ),
    inputs=(
        Input(
            name="images",
            content="image",
            required=True,
            title=gettext_noop("Images"),
            help=gettext_noop("The images to learn from; each is resized to 128 x 128 pixels."),
        ),
        Input(
            name="labels",
            content="table",
            required=True,
            title=gettext_noop("Labels"),
            help=gettext_noop("A csv file with one row for each image: its file name and its class, as in 0.jpg,1"),
        ),
    ),
    hyperparameters=(
        Hyperparameter(
            name="batch_size",
            type="int",
            default=100,
            minimum=1,
            maximum=10_000,
            title=gettext_noop("Batch size"),
            help=gettext_noop("The number of images that each step learns from."),
            unit=gettext_noop("images"),
        ),
        Hyperparameter(
            name="epochs",
            type="int",
            default=100,
            minimum=1,
            maximum=100_000,
            title=gettext_noop("Epochs"),
            help=gettext_noop("How often the training goes through all images."),
        ),
        Hyperparameter(
            name="learning_rate",
            type="float",
            default=0.001,
            minimum=1e-8,
            maximum=10,
            title=gettext_noop("Learning rate"),
            help=gettext_noop("How far each step moves the weights. Lower it when the loss jumps or becomes NaN."),
        ),
        Hyperparameter(
            name="num_types",
            type="int",
            minimum=2,
            maximum=10_000,
            title=gettext_noop("Number of classes"),
            help=gettext_noop("The number of classes to tell apart; at least as many as the labels name."),
            unit=gettext_noop("classes"),
        ),
        *(
            Hyperparameter(
                name=f"filter_num{block}",
                type="int",
                default=filters,
                minimum=1,
                maximum=1024,
                title=title,
                help=gettext_noop("The number of filters of the convolution in this block."),
            )
            for block, (filters, title) in enumerate(_FILTERS, start=1)
        ),
        Hyperparameter(
            name="validation_split",
            type="float",
            default=0.0,
            minimum=0.0,
            maximum=0.5,
            title=gettext_noop("Validation split"),
            help=gettext_noop(
                "The share of the images of each class kept aside to measure the model on; 0 trains on all."
            ),
        ),
    ),
)
