"""What does not fit into memory goes through in smaller passes, and the result is the whole batch's."""

from pathlib import Path

import pytest
import torch

from tests.training.one_stage import STEPS, Stages, Stop, apart, equal, memory_for, stopping_at
from xfer_bench.errors import TrainingError
from xfer_bench.training.checkpoints import newest_state
from xfer_bench.training.memory import Division, RandomState, is_out_of_memory, passes

CHOICES = 2  # of a COPA item: so many sequences
CLOSE = 1e-3  # as a share of the way that the weights go


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages.made(tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Stages:
    """Without dropout, whose draws depend on how the items are divided."""
    return Stages.made(tmp_path, dropout=False)


def test_an_allocator_s_refusal_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
    # Messages as CUDA, cuBLAS and Windows give them.
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError, match="size of tensor") as other:
        torch.zeros(2) + torch.zeros(3)
    assert not is_out_of_memory(other.value)
    assert not is_out_of_memory(ValueError("out of memory."))


def test_passes_hold_every_item_once_in_order_and_no_needless_padding() -> None:
    lengths = torch.tensor([[7, 2], [3, 3], [1, 4], [2, 2], [5, 1]])
    mask = (torch.arange(7) < lengths[..., None]).long()
    batch = {
        "input_ids": torch.arange(70).view(5, 2, 7),
        "attention_mask": mask,
        "labels": torch.arange(5),
        "choices": torch.tensor([[True, place % 2 == 0] for place in range(5)]),
    }
    parts = list(passes(batch, 2))
    assert [part["labels"].tolist() for part in parts] == [[0, 1], [2, 3], [4]]
    assert [part["input_ids"].shape for part in parts] == [(2, 2, 7), (2, 2, 4), (1, 2, 5)]
    for name in ("labels", "choices"):
        assert torch.equal(torch.cat([part[name] for part in parts]), batch[name])
    for part in parts:
        assert part["attention_mask"].shape == part["input_ids"].shape
        kept = batch["input_ids"][part["labels"], :, : part["input_ids"].shape[-1]]
        assert torch.equal(part["input_ids"], kept)
    assert sum(int(part["attention_mask"].sum()) for part in parts) == int(mask.sum())
    (whole,) = passes(batch, 5)
    assert all(torch.equal(whole[name], batch[name]) for name in batch)


def test_only_what_adapts_is_halved_down_to_one() -> None:
    division, seen = Division(12, adapts=True), []
    while division.halve():
        seen.append(division.per_pass)
    assert seen == [6, 3, 1]
    fixed = Division(12, adapts=False)
    assert not fixed.halve()
    assert fixed.per_pass == 12


def test_the_generators_go_back_to_where_they_stood() -> None:
    before = RandomState()
    first = torch.rand(3)
    before.restore()
    assert torch.equal(first, torch.rand(3))


@pytest.mark.parametrize("micro_batch", [1, 2, 4])
def test_smaller_passes_give_the_weights_of_larger_ones(plain: Stages, micro_batch: int) -> None:
    whole = plain.train("whole", micro_batch=8)
    divided = plain.train("divided", micro_batch=micro_batch)
    assert divided.lineage["micro_batch"] == micro_batch
    assert divided.lineage["tokens"] == whole.lineage["tokens"]
    assert apart(whole.path, divided.path, start=plain.model) < CLOSE
    # Which a small change of what is minimised does not.
    other = plain.train("other", micro_batch=8, label_smoothing=0.1)
    assert apart(whole.path, other.path, start=plain.model) > 10 * CLOSE


def test_a_batch_that_does_not_fit_is_halved_until_it_does(plain: Stages) -> None:
    whole = plain.train("whole", micro_batch=8)
    with memory_for(2 * CHOICES) as asked:
        halved = plain.train("halved", micro_batch="auto")
    # 8 and 4 items are tried once each; then every step goes through in passes of 2.
    assert asked == [CHOICES * items for items in [8, 4, *[2] * 4 * STEPS]]
    assert halved.lineage["micro_batch"] == 2
    assert halved.lineage["recipe"]["batch_size"] == 8
    assert halved.lineage["tokens"] == whole.lineage["tokens"]
    assert apart(whole.path, halved.path, start=plain.model) < CLOSE


def test_passes_of_unequal_size_count_by_their_items(plain: Stages) -> None:
    # 7 items: 3, 3 and 1.
    whole = plain.train("whole", batch_size=7, micro_batch=7)
    with memory_for(3 * CHOICES) as asked:
        halved = plain.train("halved", batch_size=7)
    assert asked[:4] == [CHOICES * items for items in (7, 3, 3, 1)]
    assert apart(whole.path, halved.path, start=plain.model) < CLOSE


def test_everything_fits_is_the_default_and_the_whole_batch(plain: Stages) -> None:
    with memory_for(8 * CHOICES) as asked:
        whole = plain.train("auto")
    assert asked == [8 * CHOICES] * STEPS
    assert equal(whole.path, plain.train("fixed", micro_batch=8).path)


def test_what_did_not_fit_leaves_no_trace_in_the_random_draws(stages: Stages) -> None:
    # With dropout: had the failed passes moved the generators, the weights would be others.
    with memory_for(2 * CHOICES):
        halved = stages.train("halved", micro_batch="auto")
    assert equal(halved.path, stages.train("fixed", micro_batch=2).path)


def test_what_had_fitted_before_leaves_no_trace_in_the_gradient(stages: Stages) -> None:
    # The second of two passes fails, when the first one's gradient is there already.
    with memory_for(4 * CHOICES, refused=3) as asked:
        halved = stages.train("halved")
    assert asked[:4] == [CHOICES * items for items in (8, 4, 4, 2)]
    assert equal(halved.path, stages.train("fixed", micro_batch=2).path)


def test_a_resumed_stage_divides_as_it_had_come_to(stages: Stages) -> None:
    with memory_for(4 * CHOICES):
        uninterrupted = stages.train("whole")
        with pytest.raises(Stop):
            stages.train("killed", progress=stopping_at(3))
    state = newest_state(stages.place("killed").store.work(stages.prepared().plan.stages[0].key))
    assert state is not None
    assert state[1]["per_pass"] == 4
    # Memory is no longer short, and yet it goes on in passes of 4.
    with memory_for(8 * CHOICES) as asked:
        resumed = stages.train("killed")
    assert set(asked) == {4 * CHOICES}
    assert equal(resumed.path, uninterrupted.path)


def test_one_item_that_does_not_fit_is_said_on_one_line(stages: Stages) -> None:
    with memory_for(CHOICES - 1), pytest.raises(TrainingError) as caught:
        stages.train("none")
    message = str(caught.value)
    assert message.startswith("target copa, seed 0: out of memory at step 1 with 1 item of up to ")
    assert "freeze_layers, lora" in message
    assert "\n" not in message


def test_a_number_that_the_user_gave_is_never_changed(stages: Stages) -> None:
    with (
        memory_for(2 * CHOICES) as asked,
        pytest.raises(TrainingError, match=r'with 4 items .* a pass; set micro_batch = "auto" or a smaller number'),
    ):
        stages.train("fixed", micro_batch=4)
    assert asked == [4 * CHOICES]


def test_an_evaluation_that_does_not_fit_is_divided_too(stages: Stages) -> None:
    whole = stages.train("whole")
    with memory_for(3 * CHOICES, training=False) as asked:
        divided = stages.train("divided")
    assert asked[0] == 10 * CHOICES
    assert asked[-1] <= 3 * CHOICES
    assert divided.lineage["development_accuracy"] == whole.lineage["development_accuracy"]
    assert equal(divided.path, whole.path)
