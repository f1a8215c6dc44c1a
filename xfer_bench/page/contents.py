"""Everything that a report shows, in the order in which it shows it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xfer_bench.errors import XferBenchError
from xfer_bench.languages import language
from xfer_bench.page import answers, methods, origins, scores, troubles
from xfer_bench.page.items import Explorer, explorer
from xfer_bench.page.subject import Subject
from xfer_bench.page.texts import Texts, texts
from xfer_bench.stats.collapse import Collapse
from xfer_bench.training.checkpoints import Store

if TYPE_CHECKING:
    from xfer_bench.plotting.gallery import Picture


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the templates are given. names: of the languages that occur, by code. texts: None where not asked for."""

    title: str
    question: str
    answers: tuple[answers.Answer, ...]
    matrices: tuple[scores.Matrix, ...]
    lines: tuple[scores.Line, ...]
    pictures: "tuple[Picture, ...]"
    methods: methods.Methods
    rows: tuple[origins.Rows, ...]
    citations: origins.Citations
    findings: tuple[troubles.Finding, ...]
    progress: troubles.Progress | None
    collapsed: tuple[Collapse, ...]
    notes: tuple[str, ...]
    cautions: tuple[str, ...]
    checkpoints: tuple[origins.Checkpoint, ...]
    explorer: Explorer
    texts: Texts | None
    names: dict[str, str]


def contents(subject: Subject) -> Contents:
    """Gather what a report shows. Raises SourceError when texts were asked for and cannot be had, ResultsError."""
    names = {code: name_of(code) for code in sorted(subject.predictions["language"].unique())}
    ends = methods.lineages_of(subject.results.checkpoints())
    store = Store(folder=subject.results.folder.resolve().parent / "checkpoints")
    found = explorer(subject.predictions, tasks=subject.tasks, baseline=str(subject.settings["baseline"]))
    return Contents(
        title=answers.title(subject),
        question=answers.question(subject),
        answers=answers.answers(subject),
        matrices=scores.matrices(subject, named=name_of),
        lines=scores.lines(subject),
        pictures=_pictures(subject),
        methods=methods.methods(subject, (*methods.ancestors_of(ends, store), *ends)),
        rows=origins.rows_behind(subject),
        citations=origins.citations(subject),
        findings=troubles.findings(subject),
        progress=troubles.progress(subject),
        collapsed=subject.collapsed,
        notes=tuple(note for note in subject.notes if not note.startswith("collapsed: ")),
        cautions=tuple(sorted({one.caution for one in subject.comparisons if one.caution})),
        checkpoints=origins.checkpoints_of(subject),
        explorer=found,
        texts=None
        if subject.texts is None
        else texts(found.benches, subject.texts, tasks=subject.tasks, data=subject.results.data()),
        names=names,
    )


def name_of(code: str) -> str:
    """The language's name in English, or its code where nothing is known of it."""
    try:
        known = language(code)
    except XferBenchError:
        return code
    return code if known is None else known.name


def _pictures(subject: Subject) -> "tuple[Picture, ...]":
    from xfer_bench.plotting.gallery import pictures

    return pictures(
        subject.results,
        comparisons=[
            one
            for one in subject.comparisons
            if not one.primary and not one.control and subject.is_headline(one.task, one.split, one.variant)
        ],
        seed=subject.method.seed,
        only=subject.figures,
    )
