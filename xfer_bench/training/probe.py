"""What an encoder knows of a task before the stage: a head trained on its frozen first-token states."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from xfer_bench.models.heads import Headed
from xfer_bench.training.batches import Batches

# Items that heads are trained on at most: with more an accuracy moves by less than the development items can tell.
MOST_ITEMS = 1000
_BATCH = 32
_PENALTY = 1e-2
_STEPS = 200


def initial_accuracy(
    headed: Headed, training: Batches, development: Batches, *, device: torch.device, most: int = MOST_ITEMS
) -> float:
    """Accuracy (0-100) on the development items of a linear head over the frozen encoder, before it is trained.

    The head sees each sequence's first-token state, standardised, and is fitted to the first `most` training items by
    penalised maximum likelihood: for classes a multinomial logistic regression, for choices one weight vector whose
    scores compete within the item. That problem is convex, so no seed is involved.
    """
    was_training = headed.model.training
    headed.model.to(device).eval()  # type: ignore[arg-type]
    try:
        known = _states(headed, training, range(min(most, len(training.labels))), device)
        asked = _states(headed, development, range(len(development.labels)), device)
    finally:
        headed.model.train(was_training)
    mean, spread = _moments(known)
    x, asked_x = ([(one - mean) / spread for one in some] for some in (known, asked))
    labels = torch.tensor(list(training.labels[: len(x)]))
    classes = len(training.task_format.labels)
    weights = _fitted(x, labels, outputs=classes or 1)
    right = sum(
        int(_logits(one, weights, choosing=not classes).argmax()) == label
        for one, label in zip(asked_x, development.labels, strict=True)
    )
    return 100.0 * right / len(asked_x)


@torch.inference_mode()
def _states(headed: Headed, batches: Batches, items: Sequence[int], device: torch.device) -> list[torch.Tensor]:
    """One tensor an item: (its sequences, hidden) float64 on the CPU."""
    found: dict[int, torch.Tensor] = {}
    lengths = batches.item_lengths
    alike = sorted(items, key=lengths.__getitem__)
    for start in range(0, len(items), _BATCH):
        chunk = alike[start : start + _BATCH]
        tensors = batches(chunk)
        flat = {
            name: value.view(-1, value.shape[-1]).to(device)
            for name, value in tensors.items()
            if name not in {"labels", "choices"}
        }
        states = headed.model.base_model(**flat).last_hidden_state[:, 0].double().cpu()
        for place, one in enumerate(states.view(len(chunk), -1, states.shape[-1])):
            found[chunk[place]] = one[tensors["choices"][place]] if "choices" in tensors else one
    return [found[item] for item in items]


def _moments(states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    together = torch.cat(list(states))
    return together.mean(0), together.std(0, correction=0).clamp_min(1e-6)


def _logits(state: torch.Tensor, weights: torch.Tensor, *, choosing: bool) -> torch.Tensor:
    scores = state @ weights[:-1] + weights[-1]
    return scores[:, 0] if choosing else scores[0]


def _fitted(states: Sequence[torch.Tensor], labels: torch.Tensor, *, outputs: int) -> torch.Tensor:
    """(hidden + 1, outputs): weights and, last, the intercept."""
    most = max(len(one) for one in states)
    hidden = states[0].shape[1]
    x = torch.zeros(len(states), most, hidden, dtype=torch.float64)
    real = torch.zeros(len(states), most, dtype=torch.bool)
    for place, one in enumerate(states):
        x[place, : len(one)], real[place, : len(one)] = one, True
    weights = torch.zeros(hidden + 1, outputs, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scores = x @ weights[:-1] + weights[-1]
        logits = scores[..., 0].masked_fill(~real, float("-inf")) if outputs == 1 else scores[:, 0]
        value = functional.cross_entropy(logits, labels) + _PENALTY * weights[:-1].square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weights.detach()
