"""A study resolved against tasks and sources: validated, its rows read, every stage keyed by its content."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import polars as pl

from xfer_bench.digest import value_digest
from xfer_bench.errors import StudyError, TaskError, XferBenchError
from xfer_bench.plan.values import Data, Evaluation, Plan, Role, Run, Stage
from xfer_bench.recipes import Recipe
from xfer_bench.sources.mixture import draw
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.study import Arm, StageSpec, Study, Target
from xfer_bench.tasks import Task, find
from xfer_bench.tasks.task import Split


def plan(study: Study, *, tasks: Mapping[str, Task], sources: Sources, origin: str, source: str) -> Plan:
    """Resolve a study.

    tasks: the registry. origin: identity of the pretrained model. source: digest of the code that trains.
    With `trim_vocabulary` the model that the stages start from is identified by `origin` and by all rows of the study.

    Raises StudyError for what a study asks and cannot have, naming the arm or the target; TaskError and SourceError
    where a task has no such language or split here.
    """
    reader = _Reader(tasks=tasks, sources=sources, study=study)
    evaluations = tuple(reader.evaluation(target) for target in study.targets)
    chains = tuple(reader.chains())
    if study.trim_vocabulary:
        origin = value_digest([origin, sorted(_fingerprints(evaluations, chains))])
    return Plan(study=study, evaluations=evaluations, runs=tuple(_run(c, study, origin, source) for c in chains))


@dataclass(frozen=True, kw_only=True)
class _Link:
    role: Role
    format: str
    data: Data
    recipe: Recipe
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Chain:
    arm: Arm
    target: Target
    intermediate_seed: int | None
    target_seed: int
    links: tuple[_Link, ...]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    tasks: Mapping[str, Task]
    sources: Sources
    study: Study

    def task(self, name: str, where: str) -> Task:
        try:
            return find(name, among=self.tasks)
        except TaskError as error:
            raise StudyError(f"{where}: {error}") from None

    def evaluation(self, target: Target) -> Evaluation:
        where = f"target {target.task!r}"
        task = self.task(target.task, where)
        if not task.settings:
            targets = ", ".join(sorted(name for name, one in self.tasks.items() if one.settings))
            raise StudyError(f"{where}: is a training set, not a target; targets are {targets}")
        languages = _languages(task, target.languages, target.split, where)
        rows = [self.sources.rows(task, language=language, split=target.split) for language in languages]
        return Evaluation(
            task=task.name,
            setting=target.setting,
            split=target.split,
            languages=languages,
            limit=target.limit,
            fingerprints=tuple(one.fingerprint for one in rows),
        )

    def chains(self) -> Iterator[_Chain]:
        for target in self.study.targets:
            for arm in self.study.every_arm:
                yield from self.chains_of(arm, target)

    def chains_of(self, arm: Arm, target: Target) -> Iterator[_Chain]:
        pairs = self.study.seeds.pairs()
        # Without intermediate stages the intermediate seed decides nothing: one run for each target seed.
        seeds = pairs if arm.stages else tuple(dict.fromkeys((None, second) for _, second in pairs))
        for first, second in seeds:
            links: list[_Link] = []
            for position, spec in enumerate(arm.stages):
                where = f"arm {arm.name!r}, stage {position + 1} ({spec.task})"
                link = self.link(spec, role="intermediate", seed=first or 0, target=target, where=where)
                links.append(self.within_budget(link, stages=len(arm.stages), where=where))
            for spec in self.training_of(target):
                where = f"target {target.task!r}, training set {spec.task!r}"
                links.append(self.link(spec, role="target", seed=second, target=target, where=where))
            yield _Chain(arm=arm, target=target, intermediate_seed=first, target_seed=second, links=tuple(links))

    def within_budget(self, link: _Link, *, stages: int, where: str) -> _Link:
        """The stage with as many epochs and steps as its share of the study's budget."""
        budget = self.study.budget
        if budget is None:
            return link
        batch, share = link.recipe.batch_size, budget.amount // stages
        steps = share if budget.hold == "steps" else share // batch
        if steps < 1:
            raise StudyError(
                f"{where}: its share of the budget is {share} {budget.hold}, less than one step of {batch} examples"
            )
        if steps * batch > link.data.examples and not budget.upsample:
            raise StudyError(
                f"{where}: its share of the budget is {steps * batch:,} examples and it has {link.data.examples:,}; "
                "lower the budget, or write upsample = true to let it be seen more than once"
            )
        # So many epochs that the steps are reached; what the last one has too much is cut off by max_steps.
        epochs = (steps + 1) * batch / link.data.examples
        recipe = link.recipe.model_copy(update={"epochs": epochs, "max_steps": steps})
        return replace(link, recipe=recipe)

    def training_of(self, target: Target) -> tuple[StageSpec, ...]:
        if target.train:
            return target.train
        task = self.task(target.task, f"target {target.task!r}")
        if target.setting not in task.settings:
            raise StudyError(
                f"target {task.name!r}: no setting named {target.setting!r}; choose one of "
                f"{', '.join(sorted(task.settings))}, or list the training sets in `train`"
            )
        return tuple(StageSpec(task=name) for name in task.settings[target.setting])

    def link(self, spec: StageSpec, *, role: Role, seed: int, target: Target, where: str) -> _Link:
        task = self.task(spec.task, where)
        if target.task in task.barred:
            raise StudyError(f"{where}: may not come before {target.task}: {task.barred[target.task]}")
        languages = _languages(task, spec.languages, "train", where)
        if spec.per_item == "one" and not task.parallel:
            raise StudyError(f'{where}: per_item = "one" needs a parallel task, and {task.name} is not')
        changes = (target.recipe, spec.recipe) if role == "target" else (spec.recipe,)
        try:
            recipe = self.study.stage_recipe(*changes)
            rows, held_out = stage_rows(
                task,
                self.sources,
                languages=languages,
                per_item=spec.per_item,
                examples=spec.examples,
                seed=seed,
                most=recipe.maximum_development,
            )
        except XferBenchError as error:
            raise type(error)(f"{where}: {error}") from None
        data = Data(
            task=task.name,
            languages=languages,
            per_item=spec.per_item,
            asked=spec.examples,
            seed=seed,
            repository=rows.repository,
            revision=rows.revision,
            examples=rows.frame.height,
            characters=_characters(rows.frame),
            fingerprint=rows.fingerprint,
            dropped=rows.dropped,
            development_examples=held_out.frame.height,
            development_fingerprint=held_out.fingerprint,
        )
        return _Link(role=role, format=task.format.name, data=data, recipe=recipe, seed=seed)


def stage_rows(
    task: Task,
    sources: Sources,
    *,
    languages: tuple[str, ...],
    per_item: Literal["all", "one"],
    examples: int | None,
    seed: int,
    most: int,
) -> tuple[Rows, Rows]:
    """Training and development rows of a stage.

    The seed draws the subset and, with one language per item, the languages; the development rows, in the same
    languages and of at most `most` items, are the same for every seed.
    """
    one = partial(draw, task, sources=sources, languages=languages, per_item=per_item)
    training = one(split="train", examples=examples, seed=seed)
    held_out = one(split="validation", examples=None, seed=0)
    items = held_out.frame.height if not task.parallel else held_out.frame["item"].n_unique()
    return training, held_out if items <= most else one(split="validation", examples=most, seed=0)


def rows_of(stage: Stage, task: Task, sources: Sources) -> tuple[Rows, Rows]:
    """The training and development rows of a planned stage, read again. They may have changed since it was planned."""
    data = stage.data
    return stage_rows(
        task,
        sources,
        languages=data.languages,
        per_item=data.per_item,
        examples=data.asked,
        seed=data.seed,
        most=stage.recipe.maximum_development,
    )


def _languages(task: Task, asked: tuple[str, ...] | None, split: Split, where: str) -> tuple[str, ...]:
    offered = task.languages_of(split)
    if not offered:
        raise StudyError(f"{where}: {task.name} has no split {split!r}; it has {', '.join(task.splits)}")
    unknown = [language for language in asked or () if language not in offered]
    if unknown:
        raise StudyError(f"{where}: {task.name} has no language {unknown[0]!r} in {split}; it has {', '.join(offered)}")
    return asked or offered


def _characters(items: pl.DataFrame) -> int:
    candidates = pl.col("candidates")
    repeated = pl.col("text").str.len_chars() * candidates.list.len()
    return int(items.select(repeated.sum() + candidates.explode().str.len_chars().sum()).item())


def _fingerprints(evaluations: tuple[Evaluation, ...], chains: tuple[_Chain, ...]) -> set[str]:
    of_evaluations = {one for evaluation in evaluations for one in evaluation.fingerprints}
    of_training = {
        one
        for chain in chains
        for link in chain.links
        for one in (link.data.fingerprint, link.data.development_fingerprint)
    }
    return of_evaluations | of_training


def _run(chain: _Chain, study: Study, origin: str, source: str) -> Run:
    stages: list[Stage] = []
    for position, link in enumerate(chain.links):
        carried = position > 0 and chain.links[position - 1].format == link.format
        stages.append(
            Stage(
                role=link.role,
                data=link.data,
                recipe=link.recipe,
                initialisation_seed=link.seed,
                data_seed=link.seed,
                head="keep" if study.head == "keep" and carried else "fresh",
                parent=stages[-1] if stages else None,
                origin=origin,
                source=source,
            )
        )
    seen = {language for link in chain.links if link.role == "intermediate" for language in link.data.languages}
    return Run(
        arm=chain.arm.name,
        target=chain.target.task,
        setting=chain.target.setting,
        intermediate_seed=chain.intermediate_seed,
        target_seed=chain.target_seed,
        stages=tuple(stages),
        seen=tuple(sorted(seen)),
    )
