"""What training minimises."""

import torch
from torch.nn import functional


def loss_of(
    logits: torch.Tensor, labels: torch.Tensor, *, choices: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Mean cross-entropy over the classes, or over each item's own choices.

    logits: (items, classes or most choices). labels: (items,). choices: (items, most choices), False where a choice
    only fills up the batch; its logits must be the lowest number already. smoothing: the target is
    (1 - smoothing) on the label plus smoothing / k on each of the k classes or own choices (Szegedy et al. 2016,
    "Rethinking the Inception architecture", section 7).
    """
    if not smoothing or choices is None:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    logs = logits.log_softmax(dim=-1).masked_fill(~choices, 0.0)
    even = -(logs.sum(-1) / choices.sum(-1)).mean()
    return (1 - smoothing) * functional.nll_loss(logs, labels) + smoothing * even
