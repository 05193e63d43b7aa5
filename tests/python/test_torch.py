"""annulus.torch on one rank, and on threads: gradients, and what PyTorch makes of its operators."""

import copy
import gc
import os
import threading

import pytest
import torch
import torch._dynamo.testing
import torch.distributed as dist

import annulus
import annulus.torch
from annulus.torch import _exchange, _passes
from reference import assert_close, attention, random_case

N, HEADS, KEY_HEADS, D = 23, 4, 2, 8


def tensors(batch=2, n=N, dtype=torch.float64, seed=0, d_v=D):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, heads, n, d, dtype=torch.float64, generator=generator).to(dtype)
            .requires_grad_() for heads, d in ((HEADS, D), (KEY_HEADS, D), (KEY_HEADS, d_v))]


def parameters(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(HEADS, dtype=torch.float64, generator=generator).add(0.5).requires_grad_(),
            torch.randn(HEADS, dtype=torch.float64, generator=generator).requires_grad_()]


def definition(q, k, v, gain=None, sink=None, mask=None):
    """Attention with 1/√d by its definition, with autograd's gradients."""
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, 1) for x in (k, v))
    z = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    z = z if gain is None else z * gain[:, None, None]
    n = q.shape[2]
    mask = torch.ones(n, n, dtype=torch.bool).tril() if mask is None else mask
    z = z.masked_fill(~mask, -torch.inf)
    if sink is not None:
        z = torch.cat([z, sink[None, :, None, None].expand(*z.shape[:3], 1)], -1)
    return torch.softmax(z, -1)[..., :n] @ v


def one():
    return annulus.comm.self()


@pytest.mark.parametrize("options", [
    dict(), dict(mask="full"), dict(mask="window:3,2"), dict(documents=[0, 4, 4, 11]),
    dict(logit_scale="critical:gamma=0.7"), dict(logit_scale="ssmax:s=0.4"),
], ids=str)
@pytest.mark.parametrize("more", ["", "gain", "sink", "gain and sink"])
def test_gradcheck(options, more):
    context = annulus.torch.Context(11, comm=one(), **options)
    gain, sink = parameters()
    given = [*tensors(1, 11, d_v=3), *([gain] if "gain" in more else []),
             *([sink] if "sink" in more else [])]

    def attend(q, k, v, *rest):
        rest = list(rest)
        return annulus.torch.ring_attention(q, k, v, context,
                                            gain=rest.pop(0) if "gain" in more else None,
                                            sink=rest.pop(0) if "sink" in more else None)
    assert torch.autograd.gradcheck(attend, given)


@pytest.mark.parametrize("layout", ["bhnd", "bnhd", "nhd"])
@pytest.mark.parametrize("contiguous", [True, False])
def test_layouts(layout, contiguous):
    context = annulus.torch.Context(N, comm=one())
    q, k, v = tensors(1 if layout == "nhd" else 2)
    given = dict(bhnd=lambda x: x, bnhd=lambda x: x.transpose(1, 2),
                 nhd=lambda x: x[0].transpose(0, 1))[layout]
    arrays = [given(x).contiguous() if contiguous else given(x) for x in (q, k, v)]
    out = annulus.torch.ring_attention(*arrays, context, layout=layout)
    expected = given(definition(q, k, v))
    torch.testing.assert_close(out, expected)
    weights = torch.randn(out.shape, dtype=out.dtype)
    gradients = torch.autograd.grad((out * weights).sum(), (q, k, v))
    expected = torch.autograd.grad((expected * weights).sum(), (q, k, v))
    torch.testing.assert_close(gradients, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_types_in_and_out(dtype):
    context = annulus.torch.Context(N, comm=one())
    q, k, v = tensors(dtype=dtype)
    out, lse = annulus.torch.ring_attention(q, k, v, context, return_lse=True)
    assert out.dtype == dtype and lse.dtype == torch.float32 and lse.shape == (2, HEADS, N)
    out.float().square().sum().backward()
    expected = definition(*(x.double() for x in (q, k, v)))
    torch.testing.assert_close(out.double(), expected, atol=4 * torch.finfo(dtype).eps, rtol=0)
    assert all(x.grad.dtype == dtype and x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_that_are_threads(ranks):
    """Whole tensors go in, whole gradients come out, on every rank."""
    def body(comm):
        context = annulus.torch.Context(N, comm=comm, threads=1)
        q, k, v = tensors()
        gain, sink = parameters()
        out = context.unshard(annulus.torch.ring_attention(
            *(context.shard(x, 2) for x in (q, k, v)), context, gain=gain, sink=sink), 2)
        return out, torch.autograd.grad(out.sin().sum(), (q, k, v, gain, sink))

    given = [*tensors(), *parameters()]
    expected = definition(*given)
    gradients = torch.autograd.grad(expected.sin().sum(), given)
    for out, own in annulus.comm.threads(ranks).run(body):
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(own, gradients)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_problems(seed, ranks, dtype):
    """Masks, scales, documents, grouped heads, gains and sinks against the definition in fp64."""
    case = random_case(seed)
    expected, largest = attention(case)
    problem = case.problem

    def whole(x):
        return None if x is None else torch.from_numpy(x).to(dtype)

    def body(comm):
        context = annulus.torch.Context(problem["documents"][-1], problem["documents"], comm,
                                        problem["mask"], problem["logit_scale"], threads=1)
        q, k, v = (whole(x).requires_grad_() for x in (case.q, case.k, case.v))
        gain, sink = (None if x is None else torch.from_numpy(x).requires_grad_()
                      for x in (case.gain, case.sink))
        out, lse = (context.unshard(x, dim) for x, dim in zip(annulus.torch.ring_attention(
            *(context.shard(x, 0) for x in (q, k, v)), context, gain=gain, sink=sink, layout="nhd",
            return_lse=True), (0, 2), strict=True))
        out.backward(whole(case.dout))
        found = {"out": out, "lse": lse[0].T, "dq": q.grad, "dk": k.grad, "dv": v.grad}
        found |= {name: x.grad for name, x in (("dgain", gain), ("dsink", sink)) if x is not None}
        return {name: x.detach().numpy() for name, x in found.items()}

    unit = torch.finfo(dtype).eps / 2
    for found in annulus.comm.threads(ranks).run(body):
        for name, value in found.items():
            assert_close(value, expected[name], unit, 256, largest[name])


def test_gradients_of_parameters_that_the_trainer_sums():
    def body(comm):
        context = annulus.torch.Context(N, comm=comm, threads=1)
        given = [context.shard(x, 2) for x in tensors()]
        own = parameters()
        for reduce in (True, False):
            out = annulus.torch.ring_attention(*given, context, gain=own[0], sink=own[1],
                                               reduce_parameters=reduce)
            yield torch.autograd.grad(out.sin().sum(), own)

    whole, parts = zip(*annulus.comm.threads(3).run(lambda comm: list(body(comm))))
    for name in (0, 1):
        torch.testing.assert_close(sum(part[name] for part in parts), whole[0][name])
        assert all((other[name] == whole[0][name]).all() for other in whole)


@pytest.mark.parametrize("ranks", [1, 3])
def test_cross_entropy_counts_tokens_of_all_ranks(ranks):
    logits = torch.randn(2, N, 5, dtype=torch.float64)
    labels = torch.randint(5, (2, N))
    labels[0, :9] = -100

    def body(comm):
        context = annulus.torch.Context(N, comm=comm)
        own = context.shard(logits, 1).requires_grad_()
        loss = annulus.torch.cross_entropy(own, context.shard(labels, 1), context)
        return loss, context.unshard(*torch.autograd.grad(loss, own), 1)

    whole = logits.requires_grad_()
    expected = torch.nn.functional.cross_entropy(whole.flatten(0, 1), labels.flatten())
    gradient, = torch.autograd.grad(expected, whole)
    for loss, own in annulus.comm.threads(ranks).run(body):
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(own, gradient)


@pytest.mark.parametrize("other, message", [
    (dict(length=101), r"documents: \[0, 101\] on rank 1 and \[0, 100\] on rank 0"),
    (dict(mask="full"), "mask: full on rank 1 and causal on rank 0"),
    (dict(documents=[0, 4, 100]), "documents"),
    (dict(logit_scale="ssmax"), "logit_scale"),
    (dict(sharding="contiguous"), "sharding: contiguous on rank 1"),
])
def test_ranks_that_make_different_contexts_are_told_the_same(other, message):
    def body(comm):
        with pytest.raises(annulus.InputError, match=message):
            annulus.torch.Context(**(dict(length=100) | (other if comm.rank == 1 else {})), comm=comm)
    annulus.comm.threads(3).run(body)


def test_positions_and_rows():
    def body(comm):
        context = annulus.torch.Context(10, documents=[0, 4, 10], comm=comm)
        assert (context.shard(torch.arange(10), 0) == context.rows).all()
        return context.unshard(context.position_ids, 0).tolist()
    assert annulus.comm.threads(3).run(body) == 3 * [[0, 1, 2, 3, 0, 1, 2, 3, 4, 5]]


def test_opcheck():
    context = annulus.torch.Context(N, comm=one())
    q, k, v = tensors()
    gain, sink = parameters()
    for more in ((gain, sink), (None, None)):
        torch.library.opcheck(_passes.forward, (q, k, v, *more, context.number, False))
    torch.library.opcheck(_passes.forward, (q, k, v, gain, sink, context.number, True))
    x = torch.randn(3, N, requires_grad=True)
    for operator in (_exchange.shard, _exchange.unshard, annulus.torch.loss.sum_over_ranks):
        dim = () if operator is annulus.torch.loss.sum_over_ranks else (1,)
        torch.library.opcheck(operator, (x, *dim, context.number))


def test_one_compile_for_many_steps():
    context = annulus.torch.Context(N, comm=one())
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")

    @torch.compile(backend=counter, fullgraph=True)
    def step(q, k, v, gain, sink):
        out = annulus.torch.ring_attention(context.shard(q, 2), context.shard(k, 2),
                                           context.shard(v, 2), context, gain=gain, sink=sink)
        return context.unshard(out, 2).sin().sum()

    for seed in range(4):
        given = [*tensors(seed=seed), *parameters(seed)]
        expected = definition(*given).sin().sum()
        loss = step(*given)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(torch.autograd.grad(loss, given),
                                   torch.autograd.grad(expected, given))
    assert counter.frame_count == 1


def test_a_checkpoint_computes_again():
    context = annulus.torch.Context(N, comm=one())
    calls = []

    def attend(*given):
        calls.append(1)
        return annulus.torch.ring_attention(*given, context)

    given = tensors()
    out = torch.utils.checkpoint.checkpoint(attend, *given, use_reentrant=False)
    gradients = torch.autograd.grad(out.sin().sum(), given)
    expected = torch.autograd.grad(definition(*given).sin().sum(), given)
    torch.testing.assert_close(gradients, expected)
    assert len(calls) == 2


def test_autocast_and_inference_mode():
    context = annulus.torch.Context(N, comm=one())
    q, k, v = tensors(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert annulus.torch.ring_attention(q, k, v, context).dtype == torch.bfloat16
    with torch.inference_mode():
        assert annulus.torch.ring_attention(q, k, v, context).requires_grad is False


def test_a_module_holds_its_parameters():
    context = annulus.torch.Context(N, comm=one())
    module = annulus.torch.RingAttention(context, HEADS, gain=0.5, sink=True).double()
    assert dict(module.named_parameters()).keys() == {"gain", "sink"}
    q, k, v = tensors()
    torch.testing.assert_close(module(q, k, v), definition(q, k, v, *module.parameters()))
    copy.deepcopy(module.state_dict())
    assert not list(annulus.torch.RingAttention(context).parameters())
    with pytest.raises(annulus.InputError, match="heads: expected"):
        annulus.torch.RingAttention(context, gain=True)


@pytest.mark.parametrize("schedule, ranks", [("auto", 1), ("ring", 3), ("tiles:2x2", 4)])
def test_a_loss_of_lse_has_gradients(schedule, ranks):
    def loss_of(out, lse):
        return out.sin().sum() + lse.square().sum()

    given = [*tensors(), *parameters()]
    q, k, _, gain, sink = given
    z = q @ k.repeat_interleave(2, 1).transpose(-1, -2) * D ** -0.5 * gain[:, None, None]
    z = z.masked_fill(torch.ones(N, N, dtype=torch.bool).triu(1), -torch.inf)
    lse = torch.logaddexp(z.logsumexp(-1), sink[:, None])
    expected = torch.autograd.grad(loss_of(definition(*given), lse), given)

    def body(comm):
        context = annulus.torch.Context(N, comm=comm, schedule=schedule, threads=1)
        own = [*tensors(), *parameters()]
        pair = annulus.torch.ring_attention(*(context.shard(x, 2) for x in own[:3]), context,
                                            gain=own[3], sink=own[4], return_lse=True)
        return torch.autograd.grad(loss_of(*(context.unshard(x, 2) for x in pair)), own)
    for gradients in annulus.comm.threads(ranks).run(body):
        torch.testing.assert_close(gradients, expected)


def test_transforms_that_cannot_be_are_refused():
    context = annulus.torch.Context(N, comm=one())
    q, k, v = (x.detach() for x in tensors())

    def attend(q):
        return annulus.torch.ring_attention(q, k, v, context)
    with pytest.raises(annulus.InputError, match=r"torch\.func\.jvp"):
        torch.func.jvp(attend, (q,), (q,))
    with pytest.raises(annulus.InputError, match=r"torch\.func\.grad"):
        torch.func.grad(lambda q: attend(q).sum())(q)
    with torch.autograd.forward_ad.dual_level(), pytest.raises(annulus.InputError, match="forward_ad"):
        attend(torch.autograd.forward_ad.make_dual(q, q))
    with pytest.raises(annulus.InputError, match="first derivatives alone"):
        torch.autograd.functional.hessian(lambda q: attend(q).sin().sum(), q)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap_is_one_call_after_the_other():
    context = annulus.torch.Context(N, comm=one())
    q, k, v = (x.detach() for x in tensors())
    both = torch.func.vmap(lambda q: annulus.torch.ring_attention(q, k, v, context))(
        torch.stack([q, 2 * q]))
    torch.testing.assert_close(both[1], definition(2 * q, k, v))


@pytest.mark.parametrize("call, message", [
    (lambda c, q, k, v: annulus.torch.ring_attention(q[:, :, 1:], k, v, c),
     r"q is fp64 \(2, 4, 22, 8\); expected fp64 \(2, 4, 23, 8\)"),
    (lambda c, q, k, v: annulus.torch.ring_attention(q, k.float(), v, c), "k is fp32"),
    (lambda c, q, k, v: annulus.torch.ring_attention(q[0], k, v, c), "q has 3 axes; expected 4"),
    (lambda c, q, k, v: annulus.torch.ring_attention(q, k, v, c, layout="bndh"), "layout is 'bndh'"),
    (lambda c, q, k, v: annulus.torch.ring_attention(q[:, :3], k, v, c), "multiple"),
    (lambda c, q, k, v: annulus.torch.ring_attention(q, k, v, c, gain=q[0, 0, 0, :3]),
     "gain has 6 numbers; expected 8"),
    (lambda c, q, k, v: annulus.torch.ring_attention(q.int(), k, v, c), "q is torch.int32"),
    (lambda c, q, k, v: c.shard(q, 1), "x has 4 tokens along 1; expected 23"),
    (lambda c, q, k, v: c.unshard(q, 1), "x has 4 tokens along 1; expected 23"),
    (lambda c, q, k, v: annulus.torch.Context(N, mask="diagonal"), "mask: .*diagonal"),
    (lambda c, q, k, v: annulus.torch.Context(N, documents=[0, 4]), "documents end at 4"),
    (lambda c, q, k, v: annulus.torch.Context(N, logit_scale="table"), "policy 'table'"),
    (lambda c, q, k, v: annulus.torch.Context(N, comm=3), "group is a int"),
    (lambda c, q, k, v: annulus.comm.torch(), "not initialized"),
])
def test_nonsense_is_refused_by_name(call, message):
    with pytest.raises(annulus.InputError, match=message):
        call(annulus.torch.Context(N, comm=one()), *(x.detach() for x in tensors()))


def test_a_destroyed_group_is_refused():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        group = dist.new_group([0])
        annulus.torch.Context(N, comm=group)
        dist.destroy_process_group(group)
        with pytest.raises(annulus.InputError, match="group is destroyed"):
            annulus.torch.Context(N, comm=group)
    finally:
        dist.destroy_process_group()


def test_two_models_in_two_threads():
    results = {}

    def train(seed):
        context = annulus.torch.Context(N, comm=one(), threads=1)
        for _ in range(20):
            given = tensors(seed=seed)
            out = annulus.torch.ring_attention(*given, context)
            results[seed] = (given, out, torch.autograd.grad(out.sin().sum(), given))

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for given, out, gradients in results.values():
        expected = definition(*given)
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(gradients, torch.autograd.grad(expected.sin().sum(), given))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_thousand_calls_leak_nothing():
    context = annulus.torch.Context(256, comm=one())
    given = tensors(n=256, dtype=torch.float32)

    def call():
        out = annulus.torch.ring_attention(*given, context)
        torch.autograd.grad(out.sum(), given)
    for _ in range(100):
        call()
    gc.collect()
    before = resident()
    for _ in range(1000):
        call()
    gc.collect()
    # One output is 64 KiB: a thousand of them are 64 MiB.
    assert resident() - before < 8 << 20
