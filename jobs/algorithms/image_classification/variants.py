"""The networks that image classification knows: the values of its hyperparameter `network`."""

ORIGINAL, TRANSFER = "original", "transfer"
MOST_EPOCHS = 100_000
