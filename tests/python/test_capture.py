"""annulus.capture: what a model attends with goes through `annulus attend`, which gives what the model has."""

import os
import subprocess
import sys

import pytest

if "CI" not in os.environ:
    pytest.importorskip("transformers", minversion="5.24", reason="no transformers from 5.24 on")

import h5py
import torch
import transformers

import annulus
from model_checks import tokens
from tiny_models import tiny

N = 23


def bert():
    torch.manual_seed(1)
    return transformers.BertModel(transformers.BertConfig(
        vocab_size=61, hidden_size=32, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4)).eval()


def attention_of(model, ids):
    """(n, H, d) of each layer, as its own eager attention gives it."""
    found = []

    def attend(module, *given, **options):
        out, weights = sys.modules[type(module).__module__].eager_attention_forward(module, *given, **options)
        found.append(out[0].detach())
        return out, weights
    transformers.AttentionInterface.register("observed", attend)
    transformers.masking_utils.AttentionMaskInterface.register("observed", transformers.masking_utils.eager_mask)
    model.set_attn_implementation("observed")
    model(input_ids=ids)
    model.set_attn_implementation("eager")
    return found


@pytest.mark.parametrize("make, layers, options", [
    (lambda: tiny("llama", dtype=torch.float32), None, ["--mask", "causal"]),
    (lambda: tiny("gpt_oss", dtype=torch.float32), [0], ["--mask", "window:6"]),
    (lambda: tiny("gpt_oss", dtype=torch.float32), [1], ["--mask", "causal"]),
    (lambda: tiny("gemma3_text", dtype=torch.float32), [1],
     ["--mask", "causal", "--logit-scale", f"none:base={5 ** -0.5!r}"]),
    (bert, None, ["--mask", "full"]),
])
def test_attend_computes_what_the_model_did(make, layers, options, tmp_path):
    model, ids = make(), tokens(1, N)
    expected = attention_of(model, ids)
    expected = torch.cat([expected[layer] for layer in layers or range(len(expected))], 1)
    before = vars(model.config).copy()
    assert annulus.capture(model, ids, tmp_path / "input.h5", layers=layers) == options
    assert vars(model.config) == before
    done = subprocess.run([os.environ["ANNULUS"], "attend", tmp_path / "input.h5", "--output",
                           tmp_path / "output.h5", "--transport", "threads:3", *options],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "output.h5") as file:
        torch.testing.assert_close(torch.from_numpy(file["out"][...]), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("make, given, message", [
    (lambda: tiny("gpt_oss"), dict(text=tokens(1, N)), "layers: their masks are window:6, causal"),
    (lambda: tiny("llama"), dict(text=tokens(1, N), layers=[2]), "the model has 2, from 0"),
    (lambda: tiny("llama"), dict(text=tokens(2, N)), "text: expected a string, or the ids"),
    (lambda: tiny("llama"), dict(text="words"), "tokenizer: none in ''"),
    (lambda: tiny("llama4_text"), dict(text=tokens(1, N)), "neither causal nor full nor a window"),
])
def test_what_cannot_be_written_is_refused(make, given, message, tmp_path):
    with pytest.raises(annulus.InputError, match=message):
        annulus.capture(make(), output=tmp_path / "input.h5", **given)
    assert not list(tmp_path.iterdir())


def test_words_by_a_tokenizer(tmp_path):
    def tokenizer(text, **_):
        return dict(input_ids=[2 + ord(letter) % 50 for letter in text])
    annulus.capture(tiny("llama"), "some words", tmp_path / "input.h5", tokenizer=tokenizer)
    with h5py.File(tmp_path / "input.h5") as file:
        assert file["q"].shape == (10, 8, 8) and file["k"].shape == (10, 4, 8)
        assert file["q"].dtype == "f8"
