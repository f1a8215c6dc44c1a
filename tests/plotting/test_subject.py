from dataclasses import replace

import polars as pl
import pytest

from tests.plotting.invented import LANGUAGES, MODEL, contrast, invent, small, subject
from tests.predictions import make_checkpoints, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.plotting.captions import order_text, pretraining_text
from xfer_bench.plotting.subject import Order, Subject, describe
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.method import Adjust, Method


def languages(about: Subject) -> list[str]:
    rows = about.gains.filter(task="xcopa").select("language", "place").unique().sort("place")
    return rows["language"].to_list()


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # Indo-European: ht; Atlantic-Congo: sw; Quechuan: qu; Sino-Tibetan: zh; Tai-Kadai: th; Uralic: et.
        ("family", ["en", "sw", "ht", "qu", "zh", "th", "et"]),
        ("script", ["en", "zh", "et", "ht", "qu", "sw", "th"]),
    ],
)
def test_languages_stand_by_group_after_averages_and_english(order: Order, expected: list[str]) -> None:
    found = languages(subject(invent({"xcopa": LANGUAGES}), order=order))
    assert found == ["avg_unseen", "avg", *expected]


def test_languages_stand_by_the_arms_mean_gain() -> None:
    about = subject(invent({"xcopa": LANGUAGES}), order="gain")
    means = dict(about.gains.group_by("language").agg(pl.col("gain").mean()).iter_rows())
    _, _, english, *others = languages(about)
    assert english == "en"
    assert others == sorted(others, key=lambda code: -means[code])


def test_the_order_is_stated_with_its_groups() -> None:
    said = order_text(small().gains)
    assert said.startswith("Languages by family (Atlantic-Congo: sw; Indo-European: ht;")
    assert said.endswith("English first")
    assert "largest first" in order_text(subject(invent({"xcopa": LANGUAGES}), order="gain").gains)


def test_hatched_are_the_languages_that_the_encoder_has_not_seen() -> None:
    about = small()
    assert {code for code, known in about.pretrained.items() if known is False} == {"ht", "qu"}
    assert pretraining_text(about.gains) == f"Hatched: not in the pretraining data of {MODEL} (ht, qu)"


@pytest.mark.parametrize("model", [None, "somebody/else"])
def test_of_an_unknown_encoder_nothing_is_hatched_and_the_caption_says_so(model: str | None) -> None:
    about = subject(invent({"xcopa": LANGUAGES}), model=model)
    assert set(about.pretrained.values()) == {None}
    assert "which languages are in the encoder's pretraining data is not known here" in pretraining_text(about.gains)


def test_where_encoders_differ_nothing_is_known() -> None:
    predictions = invent({"xcopa": LANGUAGES})
    several = make_checkpoints(predictions).with_columns(
        model=pl.when(pl.col("run").str.starts_with("none")).then(pl.lit("mBERT")).otherwise(pl.lit(MODEL))
    )
    about = describe(predictions, make_stages(predictions), contrast(predictions), checkpoints=several)
    # Both have English and neither has Quechua; Haitian Creole is in mBERT's data alone.
    assert (about.pretrained["en"], about.pretrained["ht"], about.pretrained["qu"]) == (True, None, False)


def test_of_two_variants_headlines_show_the_repaired_one() -> None:
    published = invent({"xcopa": LANGUAGES, "xnli": LANGUAGES})
    repaired = published.filter(task="xcopa").with_columns(variant=pl.lit("repaired"))
    about = subject(pl.concat([published, repaired]))
    shown = about.headline_variants(about.gains).select("task", "variant").unique().sort("task").rows()
    assert shown == [("xcopa", "repaired"), ("xnli", "published")]


@pytest.mark.parametrize(("adjust", "name"), [("holm", "Holm"), ("bh", "Benjamini-Hochberg"), ("none", "")])
def test_the_adjustment_is_named(adjust: Adjust, name: str) -> None:
    predictions = invent({"xcopa": LANGUAGES})
    comparisons = compare(predictions, method=Method(resamples=99, adjust=adjust))
    gains = describe(predictions, make_stages(predictions), comparisons).gains
    assert gains["adjusted"].unique().to_list() == [name]
    p = gains["p_adjusted"] if name else gains["p_value"]
    assert gains["significant"].to_list() == (p < 0.05).to_list()


def test_a_star_needs_clusters_that_can_tell() -> None:
    predictions = invent({"xcopa": LANGUAGES})
    few = [replace(one, n_clusters=5, p_value=0.0, p_adjusted=None) for one in contrast(predictions)]
    assert not describe(predictions, make_stages(predictions), few).gains["significant"].any()


def test_what_cannot_be_drawn_is_refused() -> None:
    predictions = invent({"xcopa": LANGUAGES})
    with pytest.raises(ResultsError, match="no comparisons to draw"):
        describe(predictions, make_stages(predictions), [])
    with pytest.raises(ResultsError, match="no order of languages named 'size'; choose one of family, script, gain"):
        describe(predictions, make_stages(predictions), contrast(predictions), order="size")  # type: ignore[arg-type]
