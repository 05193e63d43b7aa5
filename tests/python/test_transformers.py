"""annulus.transformers: each family of models against its own eager attention, and what is refused."""

import functools
import os
import pathlib

import pytest

if "CI" not in os.environ:
    pytest.importorskip("transformers", minversion="5.24", reason="no transformers from 5.24 on")

import torch
import transformers

import annulus
import annulus.transformers
from annulus.transformers._tokens import tokens_of
from model_checks import CHECKS, alone, close, compare, gradients, loss_of, on_ranks, tokens
from tiny_models import FAMILIES, tiny

RANKS = [1, 2, 3]
N = 23


@functools.cache
def holds(family, check, ranks):
    """What is, whoever asks first; raises where it is not."""
    check(family, ranks)
    return True


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("ranks", RANKS)
def test_a_family(family, check, ranks):
    assert holds(family, check, ranks)


def test_the_page_says_what_holds():
    """With ANNULUS_WRITE_DOCS=1 it is written."""
    assert FAMILIES.keys() == annulus.transformers.FAMILIES.keys()
    lines = ["| | " + " | ".join(CHECKS) + " |", "|---|" + len(CHECKS) * "---|"]
    for kind, family in annulus.transformers.FAMILIES.items():
        cells = ["yes" for check in CHECKS.values() if all(holds(kind, check, ranks) for ranks in RANKS)]
        lines.append(f"| {family.name} (`{kind}`) | " + " | ".join(cells) + " |")
    page = pathlib.Path(os.environ["ANNULUS_SOURCE"]) / "docs" / "support.md"
    begin, end = "<!-- models -->\n\n", "\n<!-- end -->"
    before, _, rest = page.read_text().partition(begin)
    says, _, after = rest.partition(end)
    if "ANNULUS_WRITE_DOCS" in os.environ:
        says = "".join(line + "\n" for line in lines)
        page.write_text(before + begin + says + end + after)
    assert says.splitlines() == lines


@pytest.mark.parametrize("options", [dict(sharding="contiguous"), dict(sharding="striped"),
                                     dict(schedule="ring"), dict(sharding="zigzag")], ids=str)
def test_whatever_the_plan(options):
    model, ids = tiny("gpt_oss"), tokens(2, N)
    logits = model(input_ids=ids, use_cache=False).logits
    compare(model, 3, dict(input_ids=ids, labels=ids), logits, loss_of(logits, ids), **options)


def test_chunks_where_shardings_depend_on_documents_are_striped_or_refused():
    model, ids = tiny("llama4_text"), tokens(1, N)
    with pytest.raises(annulus.InputError, match="sharding: with zigzag"):
        on_ranks(model, 3, lambda own, _: own(ids), sharding="zigzag")


def test_more_ranks_than_tokens():
    model, ids = tiny("llama"), tokens(1, 2)
    logits = model(input_ids=ids, use_cache=False).logits
    compare(model, 5, dict(input_ids=ids, labels=ids), logits, loss_of(logits, ids))


def test_embeddings_and_labels_that_are_ignored():
    model, ids = tiny("qwen3"), tokens(2, N)
    labels = ids.masked_fill(tokens(2, N, seed=5) < 30, -100)
    embedded = model.get_input_embeddings()(ids).detach()
    expected = model(input_ids=ids, use_cache=False).logits
    for loss, logits in on_ranks(model, 2, lambda own, context: (
            (out := own(inputs_embeds=embedded, labels=labels)).loss, context.unshard(out.logits))):
        close(logits, expected)
        close(loss, loss_of(expected, labels))


def test_a_base_model_and_hidden_states():
    model, ids = tiny("llama").model, tokens(2, N)
    expected = model(ids, use_cache=False, output_hidden_states=True)
    for last, hidden in on_ranks(model, 3, lambda own, context: (
            context.unshard((out := own(ids, output_hidden_states=True)).last_hidden_state),
            [context.unshard(each) for each in out.hidden_states])):
        close(last, expected.last_hidden_state)
        for own, other in zip(hidden, expected.hidden_states, strict=True):
            close(own, other)


def test_shard_is_the_order_of_what_comes_out():
    model, ids = tiny("llama"), tokens(2, N)

    def body(own, context):
        with pytest.raises(annulus.InputError, match="no batch has been sharded"):
            context.shard(ids)
        out = own(ids)
        assert (context.shard(context.unshard(out.logits)) == out.logits).all()
        return context.unshard(context.shard(ids))
    for whole in on_ranks(model, 3, body):
        assert (whole == ids).all()


def test_the_sum_over_items_that_a_trainer_counts():
    model, ids = tiny("llama"), tokens(2, N)
    labels = ids.clone()
    expected = loss_of(model(input_ids=ids, use_cache=False).logits, ids) * 2 * (N - 1) / 100
    for loss in on_ranks(model, 2, lambda own, _: own(
            input_ids=ids, labels=labels, num_items_in_batch=100).loss):
        close(loss, expected)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_of_gradients(reentrant):
    model, ids = tiny("qwen3").train(), tokens(1, N)
    expected = gradients(model, loss_of(model(input_ids=ids, use_cache=False).logits, ids))
    model.activation_checkpointing_enable(dict(use_reentrant=reentrant))

    def body(own, context):
        own(input_ids=ids, labels=ids).loss.backward()
        context.sum_gradients()
        return {name: parameter.grad for name, parameter in own.named_parameters()}
    for own in on_ranks(model, 2, body):
        for name, gradient in expected.items():
            close(own[name], gradient, name)


def test_what_was_computed_inside_goes_back_outside():
    model, ids = tiny("llama"), tokens(1, N)
    expected = gradients(model, loss_of(model(input_ids=ids, use_cache=False).logits, ids))
    with annulus.transformers.sharded(model, comm=annulus.comm.self()):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    for name, parameter in model.named_parameters():
        close(parameter.grad, expected[name], name)


def test_a_model_is_afterwards_as_before():
    model, ids = tiny("llama4_text"), tokens(1, N)
    expected, attributes = alone(model, ids[0]), [set(vars(module)) for module in model.modules()]
    with pytest.raises(ZeroDivisionError), \
            annulus.transformers.sharded(model, comm=annulus.comm.self()):
        raise ZeroDivisionError
    assert (alone(model, ids[0]) == expected).all()
    assert attributes == [set(vars(module)) for module in model.modules()]
    assert not model._forward_pre_hooks and not model._forward_hooks


@pytest.mark.parametrize("launcher, arguments", [("mpirun", ["mpi"]), ("torchrun", [])])
def test_processes(launch, launcher, arguments):
    """Steps of training, and tokens that are drawn, are those of one process alone."""
    def printed(*how):
        finished = launch(*how)
        assert finished.returncode == 0, finished.stderr
        loss, *drawn = finished.stdout.split()
        return float(loss), drawn
    loss, drawn = printed("alone", 1, "causal_model.py")
    own_loss, own_drawn = printed(launcher, 2, "causal_model.py", *arguments)
    assert own_loss == pytest.approx(loss, abs=1e-4) and own_drawn == drawn


def test_a_cache_that_goes_on():
    model, ids = tiny("gemma3_text"), tokens(2, N)
    expected = model(input_ids=ids, use_cache=False).logits

    def body(own, _):
        with torch.no_grad():
            first = own(input_ids=ids[:, :10], use_cache=True)
            assert first.cache.get_seq_length() == 10
            second = own(input_ids=ids[:, 10:], cache=first.cache)
            assert second.cache.get_seq_length() == N
            return torch.cat([first.logits, second.logits], 1)
    for logits in on_ranks(model, 3, body):
        close(logits, expected)


def test_the_length_that_scales_see_in_the_end():
    """With length=global, the scale of the first token knows how many there will be."""
    model, ids = tiny("llama"), tokens(1, N)
    options = dict(length=N, logit_scale="su:length=global")

    def cached(own, _):
        with torch.no_grad():
            return own(input_ids=ids, use_cache=True).logits
    whole, = on_ranks(model, 1, lambda own, context: context.unshard(own(input_ids=ids).logits), **options)
    for logits in on_ranks(model, 2, cached, **options):
        close(logits, whole)


def test_a_logit_scale_with_a_base_stands_in_place_of_the_scaling_of_the_model():
    model, ids = tiny("gemma3_text"), tokens(1, N)
    expected = alone(model, ids[0])
    own = model.config.query_pre_attn_scalar ** -0.5
    for scale in ("none", f"none:base={own!r}"):
        for logits in on_ranks(model, 2, lambda own, context: context.unshard(own(ids).logits),
                               logit_scale=scale):
            close(logits[0], expected)
    half, = on_ranks(model, 1, lambda own, context: context.unshard(own(ids).logits),
                     logit_scale=f"none:base={own / 2!r}")
    assert abs(half[0] - expected).max() > 1e-2


def test_gains_are_parameters_that_other_attention_refuses():
    model = tiny("llama")
    gains = annulus.transformers.add_gains(model, start=0.4)
    assert [tuple(gain.shape) for gain in gains] == [(4,), (4,)]
    assert "model.layers.1.self_attn.annulus_gain" in model.state_dict()
    with pytest.raises(annulus.InputError, match="annulus_gain: attn_implementation eager has no gains"):
        model(tokens(1, 3))
    with pytest.raises(annulus.InputError, match="gains already"):
        annulus.transformers.add_gains(model)


IDS = torch.arange(2, 14).view(2, 6)


@pytest.mark.parametrize("given, message", [
    (dict(token_type_ids=IDS), "token_type_ids: a model whose tokens are spread"),
    (dict(cu_seq_lens_q=torch.tensor([0, 6])), "cu_seq_lens_q"),
    (dict(output_attentions=True), "output_attentions"),
    (dict(output_router_logits=True), "output_router_logits"),
    (dict(return_dict=False), "return_dict=False: expected outputs by name"),
    (dict(logits_to_keep=1), "logits_to_keep: without a cache"),
    (dict(labels=IDS[:, 1:]), r"labels are \(2, 5\); expected \(2, 6\)"),
    (dict(attention_mask=torch.ones(2, 1, 6, 6)), r"attention_mask is \(2, 1, 6, 6\); expected \(2, 6\)"),
    (dict(attention_mask=torch.tensor([[1, 1, 0, 1, 1, 1], 6 * [1]])), "padding between the tokens of seq"),
    (dict(attention_mask=torch.tensor([[0, 1, 1, 1, 1, 1], 6 * [1]]), labels=IDS), "padding predicts a token"),
    (dict(attention_mask=torch.ones(2, 6), position_ids=torch.tensor([[0, 1, 2, 0, 1, 2]])),
     "position_ids of sequence 0 start again, beside an attention_mask"),
    (dict(position_ids=torch.zeros(3, 6)), r"position_ids are \(3, 6\); expected \(2, 6\)"),
    (dict(use_cache=True, labels=IDS), "labels: a loss with a cache"),
    (dict(use_cache=True, attention_mask=torch.tensor([[1, 1, 1, 1, 1, 0], 6 * [1]])),
     "padding behind tokens, with a cache"),
    (dict(use_cache=True, position_ids=torch.tensor([[0, 1, 2, 0, 1, 2]])), "packed sequences with a cache"),
    (dict(cache=transformers.StaticCache(tiny("llama").config, max_cache_len=8)), "cache is a StaticCache"),
    (dict(use_cache=True), "no gradients; expected torch.no_grad"),
    (dict(input_ids=IDS[:, :4]), "input_ids have 4 columns; expected length, 6"),
    (dict(input_ids=None), "input_ids: expected"),
])
def test_what_would_be_left_out_is_refused_by_name(given, message):
    model = tiny("llama")
    with annulus.transformers.sharded(model, 6, annulus.comm.self()), \
            pytest.raises(annulus.InputError, match=message):
        model(**{"input_ids": IDS, **given})


@pytest.mark.parametrize("make, message", [
    (lambda: torch.nn.Linear(3, 3), "model is a Linear"),
    (lambda: transformers.BertModel(transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)),
     "model_type is bert; expected one of llama"),
    (lambda: transformers.LlamaForSequenceClassification(tiny("llama").config), "whose head sees several"),
    (lambda: tiny("gpt_oss", output_router_logits=True), "output_router_logits"),
    (lambda: tiny("llama", attention_dropout=0.1).train(), "dropout: attention does not have it"),
    (lambda: tiny("gemma3_text", use_bidirectional_attention=True), "attention_mask: the model makes one"),
    (lambda: tiny("qwen3", layer_types=["linear_attention", "full_attention"]), "layer_types: linear_attention"),
])
def test_models_that_would_be_wrong_are_refused(make, message):
    model = make()
    with pytest.raises(annulus.InputError, match=message), \
            annulus.transformers.sharded(model, comm=annulus.comm.self()):
        model(IDS)


def test_a_loss_of_its_own_is_refused():
    model = tiny("llama")
    model.loss_function = lambda **_: None
    with pytest.raises(annulus.InputError, match="loss_function"), annulus.transformers.sharded(model):
        pass


def test_scales_that_chunks_cannot_have_are_refused():
    with pytest.raises(annulus.InputError, match="logit_scale: layers cut documents"):
        on_ranks(tiny("llama4_text"), 1, lambda own, _: own(tokens(1, N)), logit_scale="ssmax")


def test_generation_beyond_a_chunk_is_refused():
    with pytest.raises(annulus.InputError, match="attention_chunk_size is 8 and a sequence in the cache has 9"):
        on_ranks(tiny("llama4_text"), 2, lambda own, _: own.generate(tokens(1, 5), max_new_tokens=6))


def test_beams_are_refused():
    with pytest.raises(annulus.InputError, match="cache: what is spread over ranks only grows"):
        on_ranks(tiny("llama"), 2, lambda own, _: own.generate(tokens(1, 5), max_new_tokens=3, num_beams=2))


def test_attention_outside_is_refused():
    model = tiny("llama")
    model.set_attn_implementation("annulus")
    with pytest.raises(annulus.InputError, match='attn_implementation="annulus" outside'):
        model(IDS)


@pytest.mark.parametrize("name", ["input_ids", "attention_mask"])
def test_ranks_that_are_given_others_say_so(name):
    def body(comm):
        model = models[comm.rank]
        given = dict(input_ids=IDS, attention_mask=torch.ones_like(IDS))
        given[name] = given[name].clone()
        given[name][1, 5] -= comm.rank
        with annulus.transformers.sharded(model, comm=comm), \
                pytest.raises(annulus.InputError, match=f"{name}: ranks were given others"):
            model(**given)
        return True
    models = [tiny("llama") for _ in range(3)]
    assert all(annulus.comm.threads(3).run(body))


def test_tokens_of_a_batch():
    mask = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    found = tokens_of((3, 4), mask, None)
    assert found.places.tolist() == [1, 2, 3, 8, 9]
    assert found.documents == (0, 3, 3, 5)
    assert found.position_ids.tolist() == [0, 1, 2, 0, 1]
    found = tokens_of((2, 4), None, torch.tensor([[0, 1, 0, 1], [5, 6, 7, 8]]))
    assert found.documents == (0, 2, 4, 8)
    assert found.position_ids.tolist() == [0, 1, 0, 1, 5, 6, 7, 8]
