"""What must hold of every family of models: spread over ranks, it computes what its own eager attention
does with each sequence alone.

Models are fp64, as are softmaxes here, but Transformers rounds to fp32 in norms, in the rotations of
Llama 4 and on the way back through them: so results agree to some roundings of fp32, and mostly to 1e-15.
"""

import copy
import sys

import torch
import transformers
from torch.nn.functional import cross_entropy, pad
from transformers.masking_utils import AttentionMaskInterface, eager_mask

import annulus.transformers
from tiny_models import tiny

N, CLASSES, IGNORED = 23, 61, -100
LENGTHS = [5, 11, 1, 6]  # of packed sequences


def fp64_softmax(x, dim=None, _stacklevel=3, dtype=None, exact=torch.nn.functional.softmax):
    """Eager attention asks for fp32, whatever its inputs."""
    return exact(x, dim=dim, dtype=torch.float64 if x.dtype == torch.float64 else dtype)


torch.nn.functional.softmax = fp64_softmax


def tokens(*shape, seed=3):
    return torch.randint(2, CLASSES, shape, generator=torch.Generator().manual_seed(seed))


def close(actual, expected, what=""):
    bound = 16 * torch.finfo(torch.float32).eps * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.double(), expected.double(), atol=bound, rtol=0,
                               msg=lambda text: f"{what}: {text}")


def alone(model, ids):
    """(n, classes), of one sequence (n)."""
    return model(input_ids=ids[None], use_cache=False).logits[0]


def loss_of(logits, labels):
    """Of one row of tokens, of which each predicts the next."""
    return cross_entropy(logits.flatten(0, -2), pad(labels[..., 1:], (0, 1), value=IGNORED).flatten())


def gradients(model, loss):
    named = dict(model.named_parameters())
    return dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True)))


def on_ranks(model, ranks, body, **options):
    """What body(model, context) returns on each rank, with a copy of the model for each."""
    copies = [copy.deepcopy(model) for _ in range(ranks)]

    def rank(comm):
        own = copies[comm.rank]
        with annulus.transformers.sharded(own, comm=comm, threads=1, **options) as context:
            return body(own, context)
    return annulus.comm.threads(ranks).run(rank)


def compare(model, ranks, given, logits, loss, **options):
    """A step of training, with what it is given, against the logits at its tokens, and the loss."""
    expected = gradients(model, loss)

    def step(own, context):
        out = own(**given)
        out.loss.backward()
        context.sum_gradients()
        return out.loss, context.unshard(out.logits), {
            name: parameter.grad for name, parameter in own.named_parameters()}

    at = given.get("attention_mask", torch.ones_like(given["input_ids"])).bool()
    for own_loss, own_logits, own in on_ranks(model, ranks, step, **options):
        close(own_loss, loss, "loss")
        close(own_logits[at], logits.flatten(0, -2), "logits")
        assert not own_logits[~at].any()
        for name, gradient in expected.items():
            if gradient is not None:
                close(own[name], gradient, name)


def loss(family, ranks):
    """Loss and gradients of a batch of two."""
    model, ids = tiny(family), tokens(2, N)
    logits = model(input_ids=ids, use_cache=False).logits
    compare(model, ranks, dict(input_ids=ids, labels=ids), logits, loss_of(logits, ids), length=N)


def packed(family, ranks):
    """Sequences behind each other, with position ids that start again."""
    model, ids = tiny(family), tokens(1, sum(LENGTHS))
    logits = torch.cat([alone(model, part) for part in ids[0].split(LENGTHS)])
    given = dict(input_ids=ids, labels=ids,
                 position_ids=torch.cat([torch.arange(length) for length in LENGTHS])[None])
    compare(model, ranks, given, logits, loss_of(logits, ids[0]))


def padded(family, ranks):
    """A batch with padding before and behind."""
    model, ids = tiny(family), tokens(3, N)
    mask = torch.ones_like(ids)
    mask[1, 14:] = 0
    mask[2, :9] = 0
    labels = ids.masked_fill(mask == 0, IGNORED)
    labels[2, 9] = IGNORED  # which padding would predict
    logits = torch.cat([alone(model, row[own.bool()]) for row, own in zip(ids, mask)])
    following = pad(labels[:, 1:], (0, 1), value=IGNORED)[mask.bool()]
    compare(model, ranks, dict(input_ids=ids, attention_mask=mask, labels=labels), logits,
            cross_entropy(logits, following))


def generate(family, ranks):
    """A prompt that is not padded, with a cache that is spread over ranks."""
    _generate(family, ranks, [N], 9)


def generate_padded(family, ranks):
    """Prompts of several lengths, padded before."""
    _generate(family, ranks, [3, 11, 7], 5)


def _generate(family, ranks, lengths, new):
    changes = dict(attention_chunk_size=64) if family == "llama4_text" else {}
    model, ids = tiny(family, **changes), tokens(len(lengths), max(lengths))
    mask = torch.stack([(torch.arange(max(lengths)) >= max(lengths) - length).long()
                        for length in lengths])
    ids = ids.masked_fill(mask == 0, 0)
    options = dict(max_new_tokens=new, do_sample=False, output_logits=True,
                   return_dict_in_generate=True)

    def step(own, context):
        out = own.generate(ids, attention_mask=mask, **options)
        return out.sequences, torch.stack(out.logits, 1)

    results = on_ranks(model, ranks, step)
    for at, length in enumerate(lengths):
        prompt = ids[at, max(lengths) - length:][None]
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
        for sequences, logits in results:
            assert (sequences[at, -new:] == out.sequences[0, -new:]).all()
            close(logits[at], torch.stack(out.logits, 1)[0], f"logits of sequence {at}")


def scaled(family, ranks):
    """SSMax with gains that are learned, beside whatever scale the model has."""
    changes = dict(attention_chunk_size=64) if family == "llama4_text" else {}
    model, ids = tiny(family, **changes), tokens(2, N)
    gains = annulus.transformers.add_gains(model, start=0.5)
    with torch.no_grad():
        for at, gain in enumerate(gains):
            gain.add_(torch.linspace(0, 0.3 + at, len(gain)))
    model.config._attn_implementation = "scaled_eager"
    hooks = [module._forward_pre_hooks.copy() for module in model.modules()]
    for module in model.modules():
        if hasattr(module, "annulus_gain"):
            module._forward_pre_hooks.clear()
    logits = model(input_ids=ids, use_cache=False).logits
    for module, own in zip(model.modules(), hooks):
        module._forward_pre_hooks.update(own)
    model.config._attn_implementation = "eager"
    compare(model, ranks, dict(input_ids=ids, labels=ids), logits, loss_of(logits, ids),
            logit_scale="ssmax:s=0.7")


def scaled_eager(module, query, key, value, mask, **others):
    """A family's eager attention with gain · 0.7 ln(visible keys)."""
    visible = (mask == 0).sum(-1)[..., None]
    query = query * module.annulus_gain[:, None, None] * 0.7 * visible.double().log()
    eager = sys.modules[type(module).__module__].eager_attention_forward
    return eager(module, query, key, value, mask, **others)


transformers.AttentionInterface.register("scaled_eager", scaled_eager)
AttentionMaskInterface.register("scaled_eager", eager_mask)

CHECKS = {"loss, gradients": loss, "packed": packed, "padded": padded, "`generate()`": generate,
          "`generate()`, padded": generate_padded, "SSMax with gains": scaled}
