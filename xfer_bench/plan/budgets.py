"""Equal budgets: what every arm's intermediate training is given, and whether a control has what it controls."""

from collections.abc import Sequence

from xfer_bench.errors import StudyError
from xfer_bench.plan.values import Data, Run, Stage
from xfer_bench.recipes import Recipe
from xfer_bench.study import Arm, Budget


def within(budget: Budget, recipe: Recipe, parts: Sequence[Data], *, epoch: int, stages: int, where: str) -> Recipe:
    """The recipe with as many epochs and steps, or tokens, as the stage's share of the budget.

    epoch: examples of one pass over the parts. stages: that share the arm's budget. Raises StudyError where a set
    would be seen more than once, unless the budget says that it may.
    """
    batch, share = recipe.batch_size, budget.amount // stages
    if budget.hold == "tokens":
        return _of_tokens(budget, recipe, parts, epoch=epoch, share=share, where=where)
    steps = share if budget.hold == "steps" else share // batch
    if steps < 1:
        raise StudyError(
            f"{where}: its share of the budget is {share} {budget.hold}, less than one step of {batch} examples"
        )
    for part in parts:
        seen = round(part.share * steps * batch)
        if seen > part.examples and not budget.upsample:
            raise StudyError(
                f"{where}: its share of the budget is {seen:,} examples of {part.task}, which has {part.examples:,}; "
                "lower the budget, or write upsample = true to let it be seen more than once"
            )
    # So many epochs that the steps are reached; what the last one has too much is cut off by max_steps.
    return recipe.model_copy(update={"epochs": (steps + 1) * batch / epoch, "max_steps": steps})


def _of_tokens(budget: Budget, recipe: Recipe, parts: Sequence[Data], *, epoch: int, share: int, where: str) -> Recipe:
    if share < 1:
        raise StudyError(f"{where}: its share of the budget is no token")
    there = sum(part.text_bytes for part in parts)
    # Hardly a token has less than a byte. Whether there are enough is counted when the stage is trained.
    if share > there and not budget.upsample:
        raise StudyError(
            f"{where}: its share of the budget is {share:,} tokens, and its sequences have {there:,} bytes; "
            "lower the budget, or write upsample = true to let them be seen more than once"
        )
    # Surely enough passes, since every example has a token: what is too much is cut off by max_tokens.
    epochs = 1.0 if not budget.upsample else float(max(2, -(-share // epoch)))
    return recipe.model_copy(update={"epochs": epochs, "max_steps": None, "max_tokens": share})


def check_controls(arms: Sequence[Arm], runs: Sequence[Run]) -> list[str]:
    """That every English control has the budget of its arm; notes on multilingual arms that have none.

    Raises StudyError for a control that has other languages, or other steps.
    """
    of_arm = {run.arm: [one for one in run.stages if one.role == "intermediate"] for run in runs}
    for arm in arms:
        for other in arm.english_for:
            where = f"arm {arm.name!r}, the English control of {other!r}"
            beyond = sorted({one for stage in of_arm[arm.name] for one in stage.languages} - {"en"})
            if beyond or not arm.stages:
                raise StudyError(f"{where}: it trains on {', '.join(beyond) or 'nothing'}; it must be English alone")
            own, its = (_amount(of_arm[name]) for name in (arm.name, other))
            if own != its:
                raise StudyError(f"{where}: it sees {own} and the other {its}; give both the same budget")
    controlled = {name for arm in arms for name in arm.english_for}
    return [
        f"arm {arm.name!r} is multilingual and has no English control of the same budget (english_for)"
        for arm in arms
        if arm.name not in controlled and len({one for stage in of_arm[arm.name] for one in stage.languages}) > 1
    ]


def _amount(stages: Sequence[Stage]) -> str:
    """What the stages see, in what their budget holds equal."""
    if stages and all(stage.recipe.max_tokens is not None for stage in stages):
        return f"{sum(stage.recipe.max_tokens or 0 for stage in stages):,} tokens"
    return f"{sum(stage.steps * stage.recipe.batch_size for stage in stages):,} examples"
