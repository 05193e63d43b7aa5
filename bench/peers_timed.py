"""annulus beside torch.nn.functional.scaled_dot_product_attention, on the CPU, in one process.

Started by bench/peers, which makes the Python environment, sets the number of OpenMP threads and
hands over its options as JSON.
Both work on the same numbers, each in its own layout: (n, heads, d) for annulus, (1, heads, n, d)
for torch. Passes take turns, so that slow phases of the machine hit both alike. The backward pass is
timed without the forward pass before it, on both sides.
"""

import json
import os
import pathlib
import statistics
import sys
import time
import types

import torch
from torch.nn.functional import scaled_dot_product_attention

from annulus_c import Attention, Library

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SHORT_SECONDS = 0.05  # a pass this short finds caches that the others have emptied


def flex_of(n, causal):
    """PyTorch's FlexAttention over n queries and keys, compiled for the inputs that it first gets."""
    # Only where it is asked for: importing the compiler takes seconds.
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    mask = None
    if causal:
        mask = create_block_mask(lambda batch, head, query, key: query >= key, None, None, n, n,
                                 device="cpu")
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask)


class Pair:
    """The same attention on both sides, with inputs and outputs in place."""

    def __init__(self, library, *, n, heads, head_dim, mask, precision, threads, seed, flex=False):
        self.flops = 4 * (n * n if mask == "full" else n * (n + 1) // 2) * head_dim * heads
        self.causal = mask == "causal"
        generator = torch.Generator().manual_seed(seed)
        self.q, self.k, self.v, self.dout = (
            torch.randn(n, heads, head_dim, generator=generator).to(TYPES[precision])
            for _ in range(4)
        )
        self.out, self.dq, self.dk, self.dv = (torch.zeros(n, heads, head_dim) for _ in range(4))
        self.lse = torch.zeros(n, heads)
        self.attention = Attention(library, n=n, heads=heads, head_dim=head_dim, mask=mask,
                                   precision=precision, threads=threads)
        as_torch = [t.transpose(0, 1).unsqueeze(0).contiguous()
                    for t in (self.q, self.k, self.v, self.dout)]
        self.torch_inputs = [t.requires_grad_() for t in as_torch[:3]]
        self.torch_dout = as_torch[3]
        self.torch_out = scaled_dot_product_attention(*self.torch_inputs, is_causal=self.causal)
        self.sides = {"forward": ("annulus", "torch"), "backward": ("annulus", "torch")}
        if flex:  # on CPUs it has no backward pass
            self.flex = flex_of(n, self.causal)
            self.sides["forward"] += ("flex",)
            self.flex_forward()  # compiles

    @property
    def torch_backend(self):
        return self.torch_out.grad_fn.name()

    def annulus_forward(self):
        self.attention.forward(*(t.data_ptr() for t in (self.q, self.k, self.v, self.out, self.lse)))

    def annulus_backward(self):
        self.attention.backward(*(t.data_ptr() for t in (
            self.q, self.k, self.v, self.out, self.lse, self.dout, self.dq, self.dk, self.dv)))

    def torch_forward(self):
        with torch.inference_mode():
            return scaled_dot_product_attention(*self.torch_inputs, is_causal=self.causal)

    def flex_forward(self):
        with torch.inference_mode():
            return self.flex(*(t.detach() for t in self.torch_inputs))

    def torch_backward(self):
        return torch.autograd.grad(self.torch_out, self.torch_inputs, self.torch_dout,
                                   retain_graph=True)

    def errors(self):
        """The largest absolute errors against fp64 of the same inputs, of both sides."""
        exact_inputs = [t.detach().double().requires_grad_() for t in self.torch_inputs]
        logits = exact_inputs[0] @ exact_inputs[1].transpose(2, 3) / self.q.shape[2] ** 0.5
        if self.causal:
            n = logits.shape[2]
            hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
            logits = logits.masked_fill(hidden, -torch.inf)
        exact_out = logits.softmax(3) @ exact_inputs[2]
        exact = [exact_out,
                 *torch.autograd.grad(exact_out, exact_inputs, self.torch_dout.double())]
        self.annulus_forward()
        self.annulus_backward()
        ours = [t.transpose(0, 1).unsqueeze(0) for t in (self.out, self.dq, self.dk, self.dv)]
        theirs = [self.torch_forward(), *self.torch_backward()]
        return {
            name: {"annulus": (a.double() - x).abs().max().item(),
                   "torch": (b.double() - x).abs().max().item()}
            for name, x, a, b in zip(("out", "dq", "dk", "dv"), exact, ours, theirs)
        }

    def seconds(self, repetitions):
        """Seconds of each repetition of each pass of each side."""
        passes = {(side, which): getattr(self, f"{side}_{which}")
                  for which, sides in self.sides.items() for side in sides}
        times = {key: [] for key in passes}

        def run(key):
            start = time.perf_counter()
            passes[key]()
            return time.perf_counter() - start

        is_short = {key: run(key) < SHORT_SECONDS for key in passes}
        for _ in range(repetitions):
            for key in passes:
                if is_short[key]:
                    run(key)
                times[key].append(run(key))
        return times


def product_speeds(seconds=0.3, n=2048):
    """FLOP/s of torch's own dense products: what its attention is made of."""
    speeds = {}
    for name, dtype in TYPES.items():
        a, b = (torch.randn(n, n).to(dtype) for _ in range(2))
        least, begin = float("inf"), time.perf_counter()
        while least == float("inf") or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            a @ b
            least = min(least, time.perf_counter() - start)
        speeds[name] = 2 * n**3 / least
    return speeds


def openmp_libraries():
    """The OpenMP libraries in this process; two of them would keep each other's threads waiting."""
    with open("/proc/self/maps") as maps:
        return sorted({line.split()[-1] for line in maps if "libgomp" in line or "libiomp" in line})


def measured_rows(arguments, library):
    for precision in arguments.precision:
        for n in arguments.length:
            for head_dim in arguments.head_dim:
                for mask in arguments.mask:
                    pair = Pair(library, n=n, heads=arguments.heads, head_dim=head_dim, mask=mask,
                                precision=precision, threads=arguments.threads,
                                seed=arguments.seed, flex=arguments.flex)
                    times = pair.seconds(arguments.repetitions)
                    for which in ("forward", "backward"):
                        yield {
                            "pass": which, "precision": precision, "mask": mask, "n": n,
                            "heads": arguments.heads, "head_dim": head_dim,
                            "threads": arguments.threads, "torch_backend": pair.torch_backend,
                            "flops": pair.flops * (2.5 if which == "backward" else 1),
                            **{side: {"seconds": statistics.median(times[side, which]),
                                      "seconds_min": min(times[side, which]),
                                      "seconds_max": max(times[side, which])}
                               for side in pair.sides[which]},
                        }


def main():
    arguments = types.SimpleNamespace(**json.loads(sys.argv[1]))
    torch.set_num_threads(arguments.threads)
    # After torch, whose OpenMP library both then use.
    library = Library(pathlib.Path(__file__).resolve().parents[1] / "build")
    result = {
        "annulus": library.version,
        "torch": torch.__version__,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "openmp_libraries": openmp_libraries(),
        "torch_product_flops_per_second": product_speeds(),
        "errors": [],
        "rows": [],
    }
    print(f"annulus {result['annulus']}, torch {result['torch']} "
          f"({result['torch_cpu_capability']}), {arguments.threads} threads each, "
          f"{', '.join(result['openmp_libraries'])}")
    print("torch's own dense products: " + ", ".join(
        f"{name} {speed / 1e9:.0f} GFLOP/s"
        for name, speed in result["torch_product_flops_per_second"].items()))

    n = 509
    print(f"\nlargest absolute error against fp64 of the same inputs, n = {n}, d = 64")
    print(f"{'':16}{'out':>20}{'dq':>20}{'dk':>20}{'dv':>20}   (annulus torch)")
    for precision in arguments.precision:
        for mask in arguments.mask:
            errors = Pair(library, n=n, heads=arguments.heads, head_dim=64, mask=mask,
                          precision=precision, threads=arguments.threads,
                          seed=arguments.seed).errors()
            result["errors"].append({"precision": precision, "mask": mask, "n": n, **errors})
            print(f"{precision:8}{mask:8}" + "".join(
                f"{error['annulus']:>11.1e}{error['torch']:>9.1e}" for error in errors.values()))

    print(f"\n{'pass':9}{'type':6}{'mask':8}{'n':>6}{'d':>5}{'annulus':>11}{'torch':>11}"
          f"{'GFLOP/s':>10}{'torch':>8}{'speed ratio':>13}{'of least':>10}"
          + (f"{'to flex':>9}{'of least':>10}" if arguments.flex else "") + "  torch ran")
    for row in measured_rows(arguments, library):
        ours, theirs = row["annulus"]["seconds"], row["torch"]["seconds"]
        row["speed_ratio"] = theirs / ours
        row["speed_ratio_of_least"] = row["torch"]["seconds_min"] / row["annulus"]["seconds_min"]
        flex = ""
        if "flex" in row:
            row["speed_ratio_to_flex"] = row["flex"]["seconds"] / ours
            row["speed_ratio_to_flex_of_least"] = (row["flex"]["seconds_min"]
                                                   / row["annulus"]["seconds_min"])
            flex = f"{row['speed_ratio_to_flex']:>9.2f}{row['speed_ratio_to_flex_of_least']:>10.2f}"
        elif arguments.flex:
            flex = f"{'-':>9}{'-':>10}"
        result["rows"].append(row)
        print(f"{row['pass']:9}{row['precision']:6}{row['mask']:8}{row['n']:>6}"
              f"{row['head_dim']:>5}{1e3 * ours:>9.2f}ms{1e3 * theirs:>9.2f}ms"
              f"{row['flops'] / ours / 1e9:>10.1f}{row['flops'] / theirs / 1e9:>8.1f}"
              f"{row['speed_ratio']:>13.2f}{row['speed_ratio_of_least']:>10.2f}{flex}"
              f"  {row['torch_backend']}", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
