"""Attention by its definition, in fp64, and problems at random."""

import dataclasses

import numpy


@dataclasses.dataclass
class Case:
    """A problem as arguments of annulus.Problem, with whole tensors for it."""

    problem: dict
    q: numpy.ndarray
    k: numpy.ndarray
    v: numpy.ndarray
    dout: numpy.ndarray
    gain: numpy.ndarray | None
    sink: numpy.ndarray | None


MASKS = ["full", "causal", "window:5", "window:4,3"]
SCALES = ["none", "critical:gamma=0.5", "ssmax:s=0.4", "su", "qwen:train_length=16",
          "llama4:floor=16"]


def random_case(seed):
    """Lengths that nothing divides, packed documents, grouped heads, gains and sinks."""
    random = numpy.random.default_rng(seed)
    documents = numpy.cumsum([0, *random.integers(0, 60, size=random.integers(1, 4)), 7]).tolist()
    key_heads = int(random.integers(1, 3))
    heads = key_heads * int(random.integers(1, 3))
    d, d_v = (int(random.integers(1, 24)) for _ in range(2))
    problem = dict(documents=documents, query_heads=heads, key_heads=key_heads, head_dim=d,
                   value_dim=d_v, mask=str(random.choice(MASKS)),
                   logit_scale=str(random.choice(SCALES)))
    n = documents[-1]
    gain = random.uniform(0.5, 2, heads) if random.random() < 0.5 else None
    sink = random.standard_normal(heads) if random.random() < 0.5 else None
    return Case(problem, *(random.standard_normal((n, h, width)) for h, width in
                           ((heads, d), (key_heads, d), (key_heads, d_v), (heads, d_v))), gain, sink)


def betas(scale, position, visible, length):
    """β of the queries at these positions that see so many keys, and whether the base is 1/√d."""
    n = numpy.maximum(visible, 1).astype(float)
    i = position.astype(float)
    name = scale.split(":")[0]
    if name == "critical":
        return 0.5 * numpy.full(len(i), numpy.log(length)), False
    return {
        "none": numpy.ones(len(i)),
        "ssmax": 0.4 * numpy.log(n),
        "su": numpy.log(n) / numpy.log(512),
        "qwen": numpy.where(i + 1 > 16, numpy.log(i + 1) / numpy.log(16), 1),
        "llama4": 1 + 0.1 * numpy.log(1 + numpy.floor((i + 1) / 16)),
    }[name], True


def visible_pairs(mask, n):
    i, j = numpy.arange(n)[:, None], numpy.arange(n)[None, :]
    if mask == "full":
        return numpy.ones((n, n), bool)
    if mask == "causal":
        return j <= i
    left, _, right = mask.partition(":")[2].partition(",")
    return (j >= i - int(left)) & (j <= i + int(right or 0))


def attention(case):
    """out, lse, entropy, dq, dk, dv, dgain, dsink; and `largest`, what the largest of each is, or what
    the terms of the last two add up to without their signs."""
    p = case.problem
    heads, group = p["query_heads"], p["query_heads"] // p["key_heads"]
    gain = numpy.ones(heads) if case.gain is None else case.gain
    sink = numpy.full(heads, -numpy.inf) if case.sink is None else case.sink
    out, lse, entropy = numpy.zeros(case.dout.shape), numpy.zeros(case.q.shape[:2]), numpy.zeros(case.q.shape[:2])
    dq, dk, dv = (numpy.zeros(x.shape) for x in (case.q, case.k, case.v))
    dgain, dsink, terms = numpy.zeros(heads), numpy.zeros(heads), numpy.zeros(2)
    for begin, end in zip(p["documents"], p["documents"][1:]):
        rows, n = slice(begin, end), end - begin
        if n == 0:
            continue
        seen = visible_pairs(p["mask"], n)
        beta, over_root = betas(p["logit_scale"], numpy.arange(n), seen.sum(1), n)
        scale = beta * (p["head_dim"] ** -0.5 if over_root else 1)
        for h in range(heads):
            q, k, v = case.q[rows, h], case.k[rows, h // group], case.v[rows, h // group]
            dout = case.dout[rows, h]
            z = numpy.where(seen, gain[h] * scale[:, None] * (q @ k.T), -numpy.inf)
            top = numpy.maximum(z.max(1), sink[h])
            total = numpy.exp(z - top[:, None]).sum(1) + numpy.exp(sink[h] - top)
            lse[rows, h] = top + numpy.log(total)
            weights = numpy.exp(z - lse[rows, h][:, None])
            rest = numpy.exp(sink[h] - lse[rows, h])
            out[rows, h] = weights @ v
            logs = numpy.where(weights > 0, numpy.log(numpy.maximum(weights, 1e-300)), 0)
            entropy[rows, h] = -(weights * logs).sum(1) - numpy.where(
                rest > 0, rest * numpy.log(numpy.maximum(rest, 1e-300)), 0)
            mean = (dout * out[rows, h]).sum(1)
            dz = weights * (dout @ v.T - mean[:, None])
            dq[rows, h] += gain[h] * scale[:, None] * (dz @ k)
            dk[rows, h // group] += (gain[h] * scale[:, None] * dz).T @ q
            dv[rows, h // group] += weights.T @ dout
            of_gain, of_sink = dz * scale[:, None] * (q @ k.T), -rest * mean
            dgain[h] += of_gain.sum()
            dsink[h] += of_sink.sum()
            terms += abs(of_gain).sum(), abs(of_sink).sum()
    results = dict(out=out, lse=lse, entropy=entropy, dq=dq, dk=dk, dv=dv, dgain=dgain, dsink=dsink)
    largest = {name: abs(value[numpy.isfinite(value)]).max(initial=1) for name, value in results.items()}
    largest.update(dgain=terms[0] + 1, dsink=terms[1] + 1)
    return results, largest


def assert_close(actual, expected, unit, factor=64, largest=None):
    """Within `factor` roundings of the largest of its kind: sums here have some hundred terms, and the
    logits in them are some tens."""
    actual, expected = numpy.asarray(actual, float), numpy.asarray(expected, float)
    assert actual.shape == expected.shape
    finite = numpy.isfinite(expected)
    assert (actual[~finite] == expected[~finite]).all()
    if finite.any():
        bound = factor * unit * (largest or max(1.0, abs(expected[finite]).max()))
        assert abs(actual[finite] - expected[finite]).max() <= bound
