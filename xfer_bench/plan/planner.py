"""A study resolved against tasks and sources: validated, its rows read, every stage keyed by its content."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from xfer_bench.digest import value_digest
from xfer_bench.errors import StudyError, TaskError, XferBenchError
from xfer_bench.labels import MORE_TARGET_DATA
from xfer_bench.plan.budgets import check_controls, within
from xfer_bench.plan.leaks import Leaks
from xfer_bench.plan.mixing import epoch_of, shares_of
from xfer_bench.plan.rows import PartRows, data_of, languages_of, part_rows, wanted_of
from xfer_bench.plan.values import Data, Evaluation, Plan, Role, Run, Stage
from xfer_bench.recipes import Every, Recipe
from xfer_bench.sources.findings import reviewed
from xfer_bench.sources.mixture import Wanted
from xfer_bench.sources.source import Sources
from xfer_bench.study import Arm, MlmSpec, PartSpec, StageSpec, Study, Target
from xfer_bench.tasks import Task, find
from xfer_bench.tasks.task import VALIDATION, Split

# Steps among which a language's own validation items choose, where the recipe keeps none on the way.
_CHOICES = 10


def plan(study: Study, *, tasks: Mapping[str, Task], sources: Sources, origin: str, source: str) -> Plan:
    """Resolve a study of one model.

    tasks: the registry. origin: identity of the pretrained model. source: digest of the code that trains.
    With `trim_vocabulary` the model that the stages start from is identified by `origin` and by all rows of the study.

    Raises StudyError for what a study asks and cannot have, naming the arm or the target; TaskError and SourceError
    where a task has no such language or split here.
    """
    if study.models:
        raise StudyError(f"{study.name}: it has {len(study.models)} models; plan each of study.per_model()")
    reader = _Reader(tasks=tasks, sources=sources, study=study)
    evaluations = tuple(reader.evaluation(target) for target in study.targets)
    chains = tuple(reader.chains())
    if study.trim_vocabulary:
        origin = value_digest([origin, sorted(_fingerprints(evaluations, chains))])
    runs = tuple(_run(c, study, tasks=tasks, origin=origin, source=source) for c in chains)
    notes = tuple(check_controls(study.every_arm, runs))
    return Plan(study=study, evaluations=evaluations, runs=runs, notes=notes)


@dataclass(frozen=True, kw_only=True)
class _Link:
    """A stage to be: title: what errors call it. seeds: of the initialisation and of the data order."""

    role: Role
    title: str
    parts: tuple[Data, ...]
    epoch: int
    recipe: Recipe
    seeds: tuple[int, int]

    def heads(self, form: str) -> list[str]:
        """The names of its heads of a format."""
        return list(dict.fromkeys(part.head for part in self.parts if part.format == form))


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
    leaks: Leaks = field(default_factory=Leaks)
    # Arms, targets and seeds share most of their rows.
    drawn: dict[tuple[str, Wanted, int, int], PartRows] = field(default_factory=dict)

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
        languages = languages_of(task, target.languages, target.split, where)
        if target.selects_by_language and target.split == VALIDATION:
            raise StudyError(f'{where}: {target.setting} selects on the validation items; score it on split = "test"')
        splits: tuple[Split, ...] = (target.split, VALIDATION) if target.selects_by_language else (target.split,)
        rows = [self.sources.rows(task, language=one, split=split) for split in splits for one in languages]
        scored = rows[: len(languages)]
        self.leaks.evaluates(task.name, {language: one.frame for language, one in zip(languages, scored, strict=True)})
        return Evaluation(
            task=task.name,
            setting=target.setting,
            splits=splits,
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
                where = f"arm {arm.name!r}, stage {position + 1} ({spec.title})"
                link = self.link(spec, role="intermediate", seed=first or 0, target=target, where=where)
                links.append(self.within_budget(link, stages=len(arm.stages)))
            for spec in self.training_of(target):
                where = f"target {target.task!r}, training set {spec.title!r}"
                links.append(self.link(spec, role="target", seed=second, target=target, where=where))
            yield _Chain(arm=arm, target=target, intermediate_seed=first, target_seed=second, links=tuple(links))

    def within_budget(self, link: _Link, *, stages: int) -> _Link:
        budget = self.study.budget
        if budget is None:
            return link
        recipe = within(budget, link.recipe, link.parts, epoch=link.epoch, stages=stages, where=link.title)
        return replace(link, recipe=recipe)

    def training_of(self, target: Target) -> tuple[StageSpec, ...]:
        if target.train:
            return target.train
        task = self.task(target.task, f"target {target.task!r}")
        if target.training_setting not in task.settings:
            raise StudyError(
                f"target {task.name!r}: no setting named {target.setting!r}; choose one of "
                f"{', '.join(sorted(task.settings))}, or list the training sets in `train`"
            )
        return tuple(StageSpec(task=name) for name in task.settings[target.training_setting])

    def link(self, spec: StageSpec, *, role: Role, seed: int, target: Target, where: str) -> _Link:
        changes = (target.recipe, spec.recipe) if role == "target" else (spec.recipe,)
        seeds = self.study.seeds.apart(role, seed)
        try:
            recipe = self.study.stage_recipe(*changes)
        except StudyError as error:
            raise StudyError(f"{where}: {error}") from None
        asked: list[PartSpec | MlmSpec] = [*spec.sets, *([spec.mlm] if spec.mlm else [])]
        parts = [self.part(one, spec, seed=seeds[1], recipe=recipe, target=target, where=where) for one in asked]
        labelled = [part.examples for part in parts if part.mlm is None]
        shares = shares_of(spec, labelled)
        return _Link(
            role=role,
            title=where,
            parts=tuple(replace(part, share=share) for part, share in zip(parts, shares, strict=True)),
            epoch=epoch_of(spec, labelled),
            recipe=recipe,
            seeds=seeds,
        )

    def part(
        self,
        asked: PartSpec | MlmSpec,
        spec: StageSpec,
        *,
        seed: int,
        recipe: Recipe,
        target: Target,
        where: str,
    ) -> Data:
        task = self.task(asked.task, where)
        self.admit(asked, task, target, where)
        mlm = asked.probability if isinstance(asked, MlmSpec) else None
        if task.format.labelled == (mlm is not None):
            kind = "unlabelled text; give it as mlm" if mlm is None else "no unlabelled text"
            raise StudyError(f"{where}: {task.name} is {kind}")
        wanted = wanted_of(asked, task, where)
        try:
            rows = self.rows(task, wanted, seed=seed, most=recipe.maximum_development)
        except XferBenchError as error:
            raise type(error)(f"{where}: {error}") from None
        if task.name not in self.study.allow_overlap:
            self.leaks.check(rows.training, task.name, target.task, where=where)
        # Sets under one name share a head.
        head = task.format.name if spec.heads == "shared" else task.name
        return data_of(
            task, wanted, rows, seed=seed, head=head if mlm is None else _MLM, mlm=mlm, longest=recipe.max_length
        )

    def admit(self, asked: PartSpec | MlmSpec, task: Task, target: Target, where: str) -> None:
        """Raises StudyError for a set that may not come before the target, unless what was found in it is left out."""
        if target.task not in task.barred:
            return
        found = bool(reviewed(task.name, target=target.task))
        if found and isinstance(asked, PartSpec) and asked.exclude == "reviewed":
            return
        way = '; write exclude = "reviewed" to leave the items out that were found' if found else ""
        raise StudyError(f"{where}: may not come before {target.task}: {task.barred[target.task]}{way}")

    def rows(self, task: Task, wanted: Wanted, *, seed: int, most: int) -> PartRows:
        key = (task.name, wanted, seed, most)
        if key not in self.drawn:
            self.drawn[key] = part_rows(task, wanted, sources=self.sources, seed=seed, most=most)
        return self.drawn[key]


_MLM = "mlm"


def _choosing(stage: Stage) -> Stage:
    """The stage with steps to choose from."""
    if stage.recipe.keep != "result":
        return stage
    keep = Every(every=max(1, stage.steps // _CHOICES))
    return replace(stage, recipe=stage.recipe.model_copy(update={"keep": keep}))


def _fingerprints(evaluations: Sequence[Evaluation], chains: Sequence[_Chain]) -> set[str]:
    of_evaluations = {one for evaluation in evaluations for one in evaluation.fingerprints}
    parts = (part for chain in chains for link in chain.links for part in link.parts)
    return of_evaluations | {one for part in parts for one in (part.fingerprint, part.development_fingerprint)}


def _run(chain: _Chain, study: Study, *, tasks: Mapping[str, Task], origin: str, source: str) -> Run:
    stages: list[Stage] = []
    before: _Link | None = None
    for link in chain.links:
        kept = study.head == "keep" and before is not None and _carries(before, link)
        parent = stages[-1] if stages else None
        stages.append(_stage(link, parent, head="keep" if kept else "fresh", origin=origin, source=source))
        before = link
    if chain.target.selects_by_language:
        stages[-1] = _choosing(stages[-1])
    intermediate = [part for link in chain.links if link.role == "intermediate" for part in link.parts]
    same_source = any(chain.target.task in tasks[part.task].same_source for part in intermediate)
    return Run(
        arm=chain.arm.name,
        target=chain.target.task,
        setting=chain.target.setting,
        intermediate_seed=chain.intermediate_seed,
        target_seed=chain.target_seed,
        stages=tuple(stages),
        seen=tuple(sorted({language for part in intermediate for language in part.languages})),
        control=MORE_TARGET_DATA if same_source else "",
    )


def _carries(before: _Link, link: _Link) -> bool:
    """Whether the head goes from one stage to the next: where both have one of the format, and it is the main one."""
    form = link.parts[0].format
    heads = before.heads(form)
    if not heads:
        return False
    if len(heads) > 1 or len(link.heads(form)) > 1:
        count, title = (len(heads), before.title) if len(heads) > 1 else (len(link.heads(form)), link.title)
        raise StudyError(
            f'{title}: conflicting heads: head = "keep" carries one {form} head over and this stage has {count}; '
            'write heads = "shared" there, or head = "fresh"'
        )
    if before.parts[0].format != form:
        raise StudyError(
            f'{before.title}: conflicting heads: head = "keep" carries the head of its first part over, which is no '
            f'{form} head; list that part first, or write head = "fresh"'
        )
    return True


def _stage(link: _Link, parent: Stage | None, *, head: Literal["fresh", "keep"], origin: str, source: str) -> Stage:
    return Stage(
        role=link.role,
        parts=link.parts,
        epoch=link.epoch,
        recipe=link.recipe,
        initialisation_seed=link.seeds[0],
        data_seed=link.seeds[1],
        head=head,
        parent=parent,
        origin=origin,
        source=source,
    )
