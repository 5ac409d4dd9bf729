"""The hyperparameters of image classification that forms keep folded: each has a group."""

from dlmodeler_site.sentences import gettext_noop
from jobs.algorithms.base import Hyperparameter
from jobs.algorithms.image_classification.variants import MOST_EPOCHS, TRANSFER

_MEASURING = gettext_noop("Measuring and stopping")
_REGULARISATION = gettext_noop("Regularisation")
_AUGMENTATION = gettext_noop("Augmentation")
_OPTIMIZER = gettext_noop("Optimizer")
_COMPUTING = gettext_noop("Computing")

_STOPPING = (
    Hyperparameter(
        name="early_stopping",
        type="bool",
        default=False,
        defaults={TRANSFER: True},
        group=_MEASURING,
        title=gettext_noop("Early stopping"),
        help=gettext_noop("Stop once the model has not become better for as many epochs as patience says."),
    ),
    Hyperparameter(
        name="patience",
        type="int",
        default=10,
        defaults={TRANSFER: 5},
        minimum=1,
        maximum=MOST_EPOCHS,
        group=_MEASURING,
        title=gettext_noop("Patience"),
        help=gettext_noop("How many epochs early stopping waits for a better one."),
        unit=gettext_noop("epochs"),
    ),
    Hyperparameter(
        name="restore_best",
        type="bool",
        default=False,
        defaults={TRANSFER: True},
        group=_MEASURING,
        title=gettext_noop("Keep the best epoch"),
        help=gettext_noop("Make the model from the best epoch instead of the last one."),
    ),
    Hyperparameter(
        name="monitor",
        type="choice",
        default="loss",
        choices=("loss", "accuracy"),
        group=_MEASURING,
        title=gettext_noop("Best by"),
        help=gettext_noop(
            "What tells which epoch is better: of the images kept aside, or of the training where there are none."
        ),
    ),
)

_REGULARISERS = (
    Hyperparameter(
        name="class_weight",
        type="choice",
        default="none",
        choices=("none", "balanced"),
        group=_REGULARISATION,
        title=gettext_noop("Class weight"),
        help=gettext_noop("balanced makes every class count the same, however many images it has."),
    ),
    Hyperparameter(
        name="label_smoothing",
        type="float",
        default=0.0,
        defaults={TRANSFER: 0.1},
        minimum=0.0,
        maximum=0.9,
        group=_REGULARISATION,
        title=gettext_noop("Label smoothing"),
        help=gettext_noop("The share of each label that is spread over all classes: the model becomes less sure."),
    ),
    Hyperparameter(
        name="dropout_rate",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=0.9,
        group=_REGULARISATION,
        title=gettext_noop("Dropout"),
        help=gettext_noop("The share of the values before the last layer that each step leaves out."),
    ),
    Hyperparameter(
        name="weight_decay",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=1.0,
        group=_REGULARISATION,
        title=gettext_noop("Weight decay"),
        help=gettext_noop(
            "How much each step shrinks the weights, times the learning rate; biases and normalisations aside."
        ),
    ),
)

_VARIATIONS = (
    Hyperparameter(
        name="flip_horizontal",
        type="bool",
        default=False,
        defaults={TRANSFER: True},
        group=_AUGMENTATION,
        title=gettext_noop("Flip left-right"),
        help=gettext_noop("Mirror half of the images, others in every epoch. Not for letters or digits."),
    ),
    Hyperparameter(
        name="flip_vertical",
        type="bool",
        default=False,
        group=_AUGMENTATION,
        title=gettext_noop("Flip up-down"),
        help=gettext_noop("Turn half of the images upside down, others in every epoch."),
    ),
    Hyperparameter(
        name="rotation",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=180.0,
        group=_AUGMENTATION,
        title=gettext_noop("Rotation"),
        help=gettext_noop("Turn every image by up to this angle, to either side."),
        unit="°",
    ),
    Hyperparameter(
        name="zoom",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=90.0,
        group=_AUGMENTATION,
        title=gettext_noop("Zoom"),
        help=gettext_noop("Enlarge or shrink every image by up to this much."),
        unit="%",
    ),
    Hyperparameter(
        name="shift",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=90.0,
        group=_AUGMENTATION,
        title=gettext_noop("Shift"),
        help=gettext_noop("Move every image by up to this share of its width and height."),
        unit="%",
    ),
    Hyperparameter(
        name="brightness",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=90.0,
        group=_AUGMENTATION,
        title=gettext_noop("Brightness"),
        help=gettext_noop("Make every image lighter or darker by up to this much."),
        unit="%",
    ),
)

_OPTIMIZING = (
    Hyperparameter(
        name="optimizer",
        type="choice",
        default="adam",
        defaults={TRANSFER: "adamw"},
        choices=("adam", "adamw", "sgd", "rmsprop"),
        group=_OPTIMIZER,
        title=gettext_noop("Optimizer"),
        help=gettext_noop("How the steps are made from the gradients."),
    ),
    Hyperparameter(
        name="momentum",
        type="float",
        default=0.9,
        minimum=0.0,
        maximum=0.999,
        group=_OPTIMIZER,
        title=gettext_noop("Momentum"),
        help=gettext_noop("How much of the step before goes on in each step; sgd and rmsprop only."),
    ),
    Hyperparameter(
        name="learning_rate_schedule",
        type="choice",
        default="constant",
        defaults={TRANSFER: "cosine"},
        choices=("constant", "cosine", "exponential", "step"),
        group=_OPTIMIZER,
        title=gettext_noop("Learning rate schedule"),
        help=gettext_noop(
            "cosine falls to 0 by the last epoch; exponential and step multiply the rate by the decay factor every "
            "so many epochs, little by little or at once."
        ),
    ),
    Hyperparameter(
        name="warmup_epochs",
        type="float",
        default=0.0,
        minimum=0.0,
        maximum=1000.0,
        group=_OPTIMIZER,
        title=gettext_noop("Warm-up"),
        help=gettext_noop("How long the learning rate rises from 0 at the start."),
        unit=gettext_noop("epochs"),
    ),
    Hyperparameter(
        name="decay_rate",
        type="float",
        default=0.1,
        minimum=1e-6,
        maximum=1.0,
        group=_OPTIMIZER,
        title=gettext_noop("Decay factor"),
        help=gettext_noop("What exponential and step multiply the learning rate by."),
    ),
    Hyperparameter(
        name="decay_epochs",
        type="float",
        default=30.0,
        defaults={TRANSFER: 2.0},
        minimum=0.1,
        maximum=float(MOST_EPOCHS),
        group=_OPTIMIZER,
        title=gettext_noop("Decay every"),
        help=gettext_noop("After how many epochs exponential and step have multiplied the learning rate once."),
        unit=gettext_noop("epochs"),
    ),
)

_MACHINE = (
    Hyperparameter(
        name="mixed_precision",
        type="choice",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        group=_COMPUTING,
        title=gettext_noop("Precision"),
        help=gettext_noop(
            "auto computes in bfloat16 where the hardware does so: much faster. The SavedModel is float32 always; a "
            "deployment answers in bfloat16 only where that is as good and faster, and never with float32."
        ),
    ),
    Hyperparameter(
        name="seed",
        type="int",
        optional=True,
        minimum=0,
        maximum=2**31 - 1,
        group=_COMPUTING,
        title=gettext_noop("Seed"),
        help=gettext_noop("What all chance follows from; empty draws one, which is recorded."),
    ),
)

OPTIONS = (*_STOPPING, *_REGULARISERS, *_VARIATIONS, *_OPTIMIZING, *_MACHINE)
