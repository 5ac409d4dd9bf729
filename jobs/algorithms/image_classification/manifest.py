"""What image classification reads and can be told."""

from dlmodeler_site.sentences import gettext_noop
from jobs.algorithms.base import Hyperparameter, Input, Manifest
from jobs.algorithms.image_classification.options import OPTIONS
from jobs.algorithms.image_classification.variants import MOST_EPOCHS, ORIGINAL, TRANSFER

_FILTERS = (
    (20, gettext_noop("Filters of block 1")),
    (40, gettext_noop("Filters of block 2")),
    (60, gettext_noop("Filters of block 3")),
    (80, gettext_noop("Filters of block 4")),
    (100, gettext_noop("Filters of block 5")),
    (100, gettext_noop("Filters of block 6")),
)
BLOCKS = len(_FILTERS)

_MAIN = (
    Hyperparameter(
        name="network",
        type="choice",
        default=ORIGINAL,
        choices=(ORIGINAL, TRANSFER),
        title=gettext_noop("Network"),
        help=gettext_noop(
            "original learns six blocks of convolution from nothing. transfer starts from EfficientNet-Lite0, which "
            "has learned from a million photos: better and faster on photos, above all where there are few."
        ),
    ),
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
        defaults={TRANSFER: 20},
        minimum=1,
        maximum=MOST_EPOCHS,
        title=gettext_noop("Epochs"),
        help=gettext_noop(
            "How often the training goes through all images; of transfer, how often the last layer does before the "
            "fine-tuning."
        ),
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
    Hyperparameter(
        name="image_size",
        type="int",
        default=128,
        defaults={TRANSFER: 192},
        minimum=64,
        maximum=512,
        title=gettext_noop("Image size"),
        help=gettext_noop("Width and height that every image is resized to. Larger ones show more and take longer."),
        unit=gettext_noop("px"),
    ),
    *(
        Hyperparameter(
            name=f"filter_num{block}",
            type="int",
            default=filters,
            minimum=1,
            maximum=1024,
            variants=(ORIGINAL,),
            title=title,
            help=gettext_noop("The number of filters of the convolution in this block."),
        )
        for block, (filters, title) in enumerate(_FILTERS, start=1)
    ),
    Hyperparameter(
        name="fine_tune_blocks",
        type="int",
        default=5,
        minimum=0,
        maximum=16,
        variants=(TRANSFER,),
        title=gettext_noop("Blocks to fine-tune"),
        help=gettext_noop(
            "How many of the last blocks of the pretrained network go on learning; 0 trains the last layer only."
        ),
        unit=gettext_noop("blocks"),
    ),
    Hyperparameter(
        name="fine_tune_epochs",
        type="int",
        default=4,
        minimum=1,
        maximum=MOST_EPOCHS,
        variants=(TRANSFER,),
        title=gettext_noop("Epochs of fine-tuning"),
        help=gettext_noop("How often the fine-tuning goes through all images, after the epochs of the last layer."),
    ),
    Hyperparameter(
        name="fine_tune_learning_rate",
        type="float",
        default=3e-4,
        minimum=1e-8,
        maximum=10,
        variants=(TRANSFER,),
        title=gettext_noop("Learning rate of fine-tuning"),
        help=gettext_noop("Small, so that what the pretrained blocks have learned is kept."),
    ),
    Hyperparameter(
        name="validation_split",
        type="float",
        default=0.0,
        defaults={TRANSFER: 0.1},
        minimum=0.0,
        maximum=0.5,
        title=gettext_noop("Validation split"),
        help=gettext_noop("The share of the images of each class kept aside to measure the model on; 0 trains on all."),
    ),
)

IMAGE_CLASSIFICATION = Manifest(
    name="image_classification",
    title=gettext_noop("Image classification"),
    summary=gettext_noop(
        "Learns to tell which class an image belongs to, with a convolutional network of six blocks trained from "
        "nothing or with a pretrained network."
    ),
    inputs=(
        Input(
            name="images",
            content="image",
            required=True,
            title=gettext_noop("Images"),
            help=gettext_noop("The images to learn from; each is resized to a square of pixels."),
        ),
        Input(
            name="labels",
            content="table",
            required=True,
            title=gettext_noop("Labels"),
            help=gettext_noop("A csv file with one row for each image: its file name and its class, as in 0.jpg,1"),
        ),
    ),
    hyperparameters=(*_MAIN, *OPTIONS),
    variant="network",
)
