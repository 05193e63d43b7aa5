"""Sequences over ranks beside data parallel: in the Trainer of Transformers, and by means of gradients."""

import os
import subprocess
import sys

import pytest

if "CI" not in os.environ:
    pytest.importorskip("transformers", minversion="5.24", reason="no transformers from 5.24 on")
    pytest.importorskip("accelerate", reason="no accelerate")

import annulus
import annulus.transformers
from conftest import HERE
from model_checks import close, gradients, loss_of, on_ranks, tokens
from tiny_models import tiny


def numbers(finished):
    assert finished.returncode == 0, finished.stderr
    return [float(number) for number in finished.stdout.split()]


@pytest.fixture(scope="module")
def alone():
    """What the Trainer logs without annulus."""
    found = numbers(subprocess.run([sys.executable, HERE / "programs" / "trainer.py", "2"],
                                   capture_output=True, text=True, check=False))
    assert len(found) == 2 * 10 + 2
    return found


@pytest.mark.parametrize("processes, batches, ranks", [(2, 2, 2), (4, 1, 2)])
def test_the_trainer(launch, alone, processes, batches, ranks):
    """Ten steps of AdamW multiply roundings of fp32 by less than this."""
    found = numbers(launch("torchrun", processes, "trainer.py", batches, ranks))
    assert found == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("of", ["loss", "logits", "hidden states"])
def test_means_of_gradients(of):
    """Of the loss, and of a loss of one's own of what comes out, the mean over ranks is the gradient."""
    model, ids = tiny("llama"), tokens(2, 23)
    out = model(input_ids=ids, use_cache=False, output_hidden_states=True)
    ends = {"loss": lambda out, whole: out.loss,
            "logits": lambda out, whole: whole(out.logits).square().sum(),
            "hidden states": lambda out, whole: whole(out.hidden_states[1]).square().sum()}
    loss = loss_of(out.logits, ids) if of == "loss" else ends[of](out, lambda x: x)
    expected = gradients(model, loss)

    def body(own, context):
        out = own(input_ids=ids, labels=ids, output_hidden_states=True)
        end = ends[of](out, context.unshard)
        end.backward()
        own_part = {name: parameter.grad.clone() for name, parameter in own.named_parameters()
                    if parameter.grad is not None}
        context.sum_gradients()
        for name, parameter in own.named_parameters():
            if name in expected and parameter.grad is not None:
                close(parameter.grad, expected[name], name)
        return end.detach(), own_part
    found = on_ranks(model, 3, body, gradients="mean")
    for end, _ in found:
        close(end, loss)
    for name in found[0][1]:
        close(sum(own[name] for _, own in found) / 3, expected[name], name)


def test_gradients_are_summed_or_averaged():
    with pytest.raises(annulus.InputError, match="gradients is 'max'; expected sum or mean"), \
            annulus.transformers.sharded(tiny("llama"), comm=annulus.comm.self(), gradients="max"):
        pass
