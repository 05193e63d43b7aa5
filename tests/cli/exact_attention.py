"""Attention by its definition, in fp64: what `annulus attend` must equal.

Written from the documented conventions alone: positions align at the end of a document, n and i
are counted in keys of the document, a row that sees nothing has zeros and lse = -inf.
"""

import itertools
import math
import re
from dataclasses import dataclass

import numpy as np


def parse_options(text):
    """NAME[:key=value,...] as a name and a dictionary."""
    name, _, rest = text.partition(":")
    return name, dict(part.split("=") for part in rest.split(",") if part)


def beta_of(policy, n_global, n_visible, i, d):
    name, options = parse_options(policy)

    def number(key, default):
        return float(options.get(key, default))

    default_length = {"ssmax": "visible", "su": "visible", "infoscale": "visible"}
    length = options.get("length", default_length.get(name, "global"))
    n = max(1, n_visible if length == "visible" else n_global)
    i = max(0, i)
    if name in ("none", "table"):
        return 1.0
    if name == "critical":
        return number("gamma", 1) * math.log(n)
    if name == "ssmax":
        return number("s", 1) * math.log(n)
    if name == "su":
        return math.log(n) / math.log(number("base_length", 512))
    if name == "qwen":
        train = number("train_length", 2048)
        return math.log(i + 1) / math.log(train) if i + 1 > train else 1.0
    if name == "yarn":
        factor = number("factor", 4)
        return (0.1 * number("mscale", 1) * math.log(factor) + 1) ** 2 if factor > 1 else 1.0
    if name == "llama4":
        floor = number("floor", 8192)
        return 1 + number("coefficient", 0.1) * math.log(1 + math.floor((i + 1) / floor))
    if name == "ministral":
        return 1 + number("beta", 0.1) * math.log(1 + math.floor(i / number("original", 16384)))
    if name == "grok":
        train = number("train_length", 1024)
        return math.log(i) / math.log(train) if i > train else 1.0
    if name == "infoscale":
        train = number("train_length", 2048)
        return math.sqrt(1 - n ** (-2 / d)) / math.sqrt(1 - train ** (-2 / d))
    raise ValueError(name)


def base_of(policy, d):
    name, options = parse_options(policy)
    base = options.get("base", "1" if name == "critical" else "rsqrt_d")
    return 1 / math.sqrt(d) if base == "rsqrt_d" else float(base)


def visible(mask, position, keys):
    """Which of `keys` key positions a query at `position` sees."""
    j = np.arange(keys)
    if mask == "full":
        return np.ones(keys, bool)
    if mask == "causal":
        return j <= position
    window = re.fullmatch(r"window:(\d+)(?:,(\d+))?", mask)
    left, right = int(window[1]), int(window[2] or 0)
    return (j >= position - left) & (j <= position + right)


@dataclass
class Attention:
    out: np.ndarray
    lse: np.ndarray
    statistics: dict
    largest_logit: float = 0.0


STATISTICS = (
    "entropy",
    "effective_keys",
    "participation",
    "max_probability",
    "max_logit",
    "self_probability",
)


@dataclass
class Problem:
    """Packed arrays q (n_q, H, d), k (n_k, G, d), v (n_k, G, d_v), and how they attend."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    offsets: list
    key_offsets: list
    mask: str = "full"
    scale: str = "none"
    gain: np.ndarray = None
    sink: np.ndarray = None
    table: np.ndarray = None


@dataclass
class Row:
    """A query of one head: what it sees, and its probabilities."""

    row: int
    head: int
    key_head: int
    keys: np.ndarray  # rows of the packed keys
    own: np.ndarray  # which of them stands at the query's position
    scale: float
    scale_per_gain: float
    z: np.ndarray  # logits of the keys, and of the sink behind them if there is one
    p: np.ndarray
    lse: float


def rows_of(problem):
    """Every row of a problem. Arrays of keys come first in z and p."""
    q, k = (np.asarray(x, np.float64) for x in (problem.q, problem.k))
    heads, d = q.shape[1:]
    group = heads // k.shape[1]
    base = base_of(problem.scale, d)
    documents = zip(
        problem.offsets, problem.offsets[1:], problem.key_offsets, problem.key_offsets[1:]
    )
    for q0, q1, k0, k1 in documents:
        for row, h in itertools.product(range(q0, q1), range(heads)):
            position = row - q0 + (k1 - k0) - (q1 - q0)
            seen = np.flatnonzero(visible(problem.mask, position, k1 - k0))
            beta = beta_of(problem.scale, k1 - k0, len(seen), position, d)
            if problem.table is not None:
                table = problem.table[row]
                beta = table if table.ndim == 0 else table[h]
            gain = 1.0 if problem.gain is None else problem.gain[h]
            z = gain * base * beta * (k[k0 + seen, h // group] @ q[row, h])
            if problem.sink is not None and problem.sink[h] > -np.inf:
                z = np.append(z, problem.sink[h])
            m = z.max(initial=-np.inf)
            weights = np.exp(z - m) if len(z) else z
            yield Row(
                row,
                h,
                h // group,
                k0 + seen,
                seen == position,
                gain * base * beta,
                base * beta,
                z,
                weights / weights.sum() if len(z) else z,
                m + np.log(weights.sum()) if len(z) else -np.inf,
            )


def attend(problem):
    q, k, v = (np.asarray(x, np.float64) for x in (problem.q, problem.k, problem.v))
    n_q, heads = q.shape[:2]
    result = Attention(
        np.zeros((n_q, heads, v.shape[2])),
        np.full((n_q, heads), -np.inf),
        {name: np.zeros((n_q, heads)) for name in STATISTICS},
    )
    statistics = result.statistics
    statistics["max_logit"][:] = -np.inf
    for row in rows_of(problem):
        at = row.row, row.head
        norms = np.linalg.norm(k[row.keys, row.key_head], axis=1) * np.linalg.norm(q[at])
        sink = np.abs(row.z[len(row.keys) :])
        result.largest_logit = max(result.largest_logit, *np.abs(row.scale) * norms, *sink, 0)
        if len(row.z) == 0:
            continue
        of_keys = row.p[: len(row.keys)]
        result.out[at] = of_keys @ v[row.keys, row.key_head]
        result.lse[at] = row.lse
        m = row.z.max()
        log_p = row.z - m - np.log(np.exp(row.z - m).sum())
        entropy = max(0.0, -(row.p * log_p).sum())
        statistics["entropy"][at] = entropy
        statistics["effective_keys"][at] = np.exp(entropy)
        statistics["participation"][at] = 1 / (row.p**2).sum()
        statistics["max_probability"][at] = row.p.max()
        statistics["max_logit"][at] = m
        statistics["self_probability"][at] = of_keys[row.own].sum()
    return result


def gradients(problem, dout):
    """Of sum(dout * out): dq, dk, dv, dgain, and dsink where there are sinks."""
    q, k, v, dout = (np.asarray(x, np.float64) for x in (problem.q, problem.k, problem.v, dout))
    heads = q.shape[1]
    result = {
        "dq": np.zeros_like(q),
        "dk": np.zeros_like(k),
        "dv": np.zeros_like(v),
        "dgain": np.zeros(heads),
    }
    if problem.sink is not None:
        result["dsink"] = np.zeros(heads)
    for row in rows_of(problem):
        at = row.row, row.head
        p = row.p[: len(row.keys)]
        dp = v[row.keys, row.key_head] @ dout[at]
        mean = p @ dp
        dz = p * (dp - mean)
        keys = k[row.keys, row.key_head]
        result["dq"][at] = row.scale * dz @ keys
        result["dk"][row.keys, row.key_head] += row.scale * np.outer(dz, q[at])
        result["dv"][row.keys, row.key_head] += np.outer(p, dout[at])
        result["dgain"][row.head] += row.scale_per_gain * dz @ (keys @ q[at])
        if len(row.p) > len(row.keys):
            result["dsink"][row.head] -= row.p[-1] * mean
    return result
