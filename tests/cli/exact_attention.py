"""Attention by its definition, in fp64: what `annulus attend` must equal.

Written from the documented conventions alone: positions align at the end of a document, n and i
are counted in keys of the document, a row that sees nothing has zeros and lse = -inf.
"""

import math
import re
from dataclasses import dataclass, field

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
        return (0.1 * number("mscale", 1) * math.log(number("factor", 4)) + 1) ** 2
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
    extra: dict = field(default_factory=dict)


def attend(problem):
    q, k, v = (np.asarray(x, np.float64) for x in (problem.q, problem.k, problem.v))
    n_q, heads, d = q.shape
    group = heads // k.shape[1]
    result = Attention(
        np.zeros((n_q, heads, v.shape[2])),
        np.full((n_q, heads), -np.inf),
        {name: np.zeros((n_q, heads)) for name in STATISTICS},
    )
    result.statistics["max_logit"][:] = -np.inf
    documents = zip(
        problem.offsets, problem.offsets[1:], problem.key_offsets, problem.key_offsets[1:]
    )
    for q0, q1, k0, k1 in documents:
        for row in range(q0, q1):
            position = row - q0 + (k1 - k0) - (q1 - q0)
            seen = visible(problem.mask, position, k1 - k0)
            beta = beta_of(problem.scale, k1 - k0, int(seen.sum()), position, d)
            for h in range(heads):
                scale = base_of(problem.scale, d) * beta
                if problem.table is not None:
                    table = problem.table[row]
                    scale = base_of(problem.scale, d) * (table if table.ndim == 0 else table[h])
                if problem.gain is not None:
                    scale *= problem.gain[h]
                attend_row(problem, result, q, k, v, row, h, h // group, scale, seen, k0, position)
    return result


def attend_row(problem, result, q, k, v, row, h, g, scale, seen, k0, position):
    keys = k0 + np.flatnonzero(seen)
    z = scale * (k[keys, g] @ q[row, h])
    products = np.abs(scale) * (np.linalg.norm(k[keys, g], axis=1) * np.linalg.norm(q[row, h]))
    result.largest_logit = max([result.largest_logit, *products])
    values = v[keys, g]
    if problem.sink is not None and problem.sink[h] > -np.inf:
        z = np.append(z, problem.sink[h])
        values = np.vstack([values, np.zeros(v.shape[2])])
        result.largest_logit = max(result.largest_logit, abs(problem.sink[h]))
    if len(z) == 0:
        return
    m = z.max()
    weights = np.exp(z - m)
    total = weights.sum()
    p = weights / total
    result.out[row, h] = p @ values
    result.lse[row, h] = m + np.log(total)
    entropy = max(0.0, np.log(total) - (weights * (z - m)).sum() / total)
    own = np.flatnonzero(seen)[: len(keys)] == position
    statistics = result.statistics
    statistics["entropy"][row, h] = entropy
    statistics["effective_keys"][row, h] = np.exp(entropy)
    statistics["participation"][row, h] = 1 / (p**2).sum()
    statistics["max_probability"][row, h] = p.max()
    statistics["max_logit"][row, h] = m
    statistics["self_probability"][row, h] = p[: len(keys)][own].sum()
