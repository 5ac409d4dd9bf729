"""What the training on tables reads and can be told."""

from dlmodeler_site.sentences import gettext_noop
from jobs.algorithms.base import Hyperparameter, Input, Manifest

TASKS = ("auto", "classification", "regression")

_MEASURING = gettext_noop("Measuring and stopping")
_REGULARISATION = gettext_noop("Regularisation")
_NETWORKS = gettext_noop("Networks")
_COMPUTING = gettext_noop("Computing")

TABULAR = Manifest(
    name="tabular",
    title=gettext_noop("Tabular classification and regression"),
    summary=gettext_noop(
        "Learns to tell one column of a table from the others: a linear model and a group of small networks, "
        "blended as they answer best on the rows kept aside."
    ),
    reads="table",
    inputs=(
        Input(
            name="table",
            content="table",
            required=True,
            title=gettext_noop("Table"),
            help=gettext_noop(
                "Csv files with one row for each example. Several files with the same columns are one table."
            ),
        ),
    ),
    hyperparameters=(
        Hyperparameter(
            name="target",
            type="column",
            title=gettext_noop("Target"),
            help=gettext_noop("The column that the model learns to tell. Rows where it is empty are left out."),
        ),
        Hyperparameter(
            name="task",
            type="choice",
            default="auto",
            choices=TASKS,
            title=gettext_noop("Task"),
            help=gettext_noop(
                "Classification tells classes apart, regression estimates a number. Auto takes regression for a target "
                "of numbers with a fraction or with more than 20 values."
            ),
        ),
        Hyperparameter(
            name="epochs",
            type="int",
            default=200,
            minimum=1,
            maximum=100_000,
            title=gettext_noop("Epochs"),
            help=gettext_noop(
                "How often the training goes through all rows at most; early stopping may end it before."
            ),
        ),
        Hyperparameter(
            name="batch_size",
            type="int",
            default=0,
            minimum=0,
            maximum=100_000,
            title=gettext_noop("Batch size"),
            help=gettext_noop("The number of rows that each step learns from; 0 chooses it by the number of rows."),
            unit=gettext_noop("rows"),
        ),
        Hyperparameter(
            name="learning_rate",
            type="float",
            default=0.002,
            minimum=1e-8,
            maximum=10,
            title=gettext_noop("Learning rate"),
            help=gettext_noop("How far each step moves the weights. Lower it when the loss jumps or becomes NaN."),
        ),
        Hyperparameter(
            name="hidden_layers",
            type="int",
            default=2,
            minimum=0,
            maximum=8,
            group=_NETWORKS,
            title=gettext_noop("Hidden layers"),
            help=gettext_noop("The number of hidden layers of each network; 0 makes them linear."),
        ),
        Hyperparameter(
            name="hidden_units",
            type="int",
            default=128,
            minimum=1,
            maximum=2048,
            group=_NETWORKS,
            title=gettext_noop("Hidden units"),
            help=gettext_noop("The width of each hidden layer."),
        ),
        Hyperparameter(
            name="dropout_rate",
            type="float",
            default=0.1,
            minimum=0.0,
            maximum=0.9,
            group=_REGULARISATION,
            title=gettext_noop("Dropout rate"),
            help=gettext_noop("The share of hidden units left out in each step, against learning rows by heart."),
        ),
        Hyperparameter(
            name="weight_decay",
            type="float",
            default=0.01,
            minimum=0.0,
            maximum=1.0,
            group=_REGULARISATION,
            title=gettext_noop("Weight decay"),
            help=gettext_noop("How strongly weights are drawn to zero in each step, against learning rows by heart."),
        ),
        Hyperparameter(
            name="validation_split",
            type="float",
            default=0.2,
            minimum=0.0,
            maximum=0.5,
            title=gettext_noop("Validation split"),
            help=gettext_noop(
                "The share of the rows kept aside to measure the model on, of each class where there are classes; "
                "0 trains on all."
            ),
        ),
        Hyperparameter(
            name="early_stopping",
            type="bool",
            default=True,
            group=_MEASURING,
            title=gettext_noop("Early stopping"),
            help=gettext_noop(
                "End the training when the validation loss has not become better for some epochs, and take the best "
                "epoch's weights."
            ),
        ),
        Hyperparameter(
            name="patience",
            type="int",
            default=10,
            minimum=1,
            maximum=10_000,
            group=_MEASURING,
            title=gettext_noop("Patience"),
            help=gettext_noop("The number of epochs without a better validation loss after which early stopping ends."),
            unit=gettext_noop("epochs"),
        ),
        Hyperparameter(
            name="class_weight",
            type="choice",
            default="none",
            choices=("none", "balanced"),
            group=_REGULARISATION,
            title=gettext_noop("Class weight"),
            help=gettext_noop("Balanced lets rows of rare classes count for more, so that no class is overlooked."),
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
    ),
)
