"""Running selection steps on a list of files."""

from collections.abc import Sequence

from datasets.preprocessing.operation import SelectionOperation, Step
from datasets.preprocessing.registry import OPERATIONS
from datasets.preprocessing.selection import Effect, Files


def select(files: Files, steps: Sequence[Step]) -> list[Effect]:
    """Run the selection steps in their order; answers what each did.

    Raises:
        SelectionError: a step names files or labels that there are not.
    """
    effects: list[Effect] = []
    for step in steps:
        operation = OPERATIONS[step.op]
        if isinstance(operation, SelectionOperation):
            effects.append(operation.select(files, step.values))
    return effects
