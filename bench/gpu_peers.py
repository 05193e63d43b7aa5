#!/usr/bin/env python3
"""PyTorch's attention on this machine's GPU, for launch/gpu_check. Needs PyTorch with CUDA.

    bench/gpu_peers.py --output FILE.json [--length N] [--heads H] [--repetitions R]

Times scaled_dot_product_attention with its flash and cuDNN backends, between CUDA events around each
pass and on inputs (1, heads, n, d) that lie on the GPU, as `annulus bench kernel` does; the backward pass
without the forward pass before it. Errors are the largest against fp64 of the same standard normal
inputs, at the sizes of bench/gpu_verify.py. A backend that refuses a case is left out, with its reason.
"""

import argparse
import json
import statistics
import sys

from gpu_verify import HEADS, LENGTH

try:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention
except ImportError as problem:
    print(f"bench/gpu_peers.py: needs PyTorch with CUDA: {problem}", file=sys.stderr)
    sys.exit(2)

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected at least 1")
    return number


def random_inputs(n, heads, head_dim, precision):
    generator = torch.Generator("cuda").manual_seed(1)
    q, k, v, dout = (
        torch.randn(1, heads, n, head_dim, generator=generator, device="cuda").to(TYPES[precision])
        for _ in range(4)
    )
    return [t.requires_grad_() for t in (q, k, v)], dout


def seconds_of(run, repetitions):
    """Of each repetition, by the clock of the GPU, after three that do not count."""
    times = []
    for repetition in range(repetitions + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        if repetition >= 3:
            times.append(start.elapsed_time(end) * 1e-3)
    return times


def timed(n, heads, head_dim, mask, precision, repetitions):
    """The rows of one case: a forward and a backward pass, in the backend that is set."""
    inputs, dout = random_inputs(n, heads, head_dim, precision)
    causal = mask == "causal"
    pairs = n * (n + 1) // 2 if causal else n * n

    def forward():
        with torch.no_grad():
            scaled_dot_product_attention(*inputs, is_causal=causal)

    forward_times = seconds_of(forward, repetitions)
    out = scaled_dot_product_attention(*inputs, is_causal=causal)
    backward_times = seconds_of(
        lambda: torch.autograd.grad(out, inputs, dout, retain_graph=True), repetitions)
    for which, flops, times in (("forward", 4, forward_times), ("backward", 10, backward_times)):
        yield {"pass": which, "flops": flops * pairs * head_dim * heads,
               "seconds": statistics.median(times), "seconds_min": min(times)}


def errors(head_dim, mask, precision):
    inputs, dout = random_inputs(LENGTH, HEADS, head_dim, precision)
    causal = mask == "causal"
    out = scaled_dot_product_attention(*inputs, is_causal=causal)
    got = [out, *torch.autograd.grad(out, inputs, dout)]
    exact_inputs = [t.detach().double().requires_grad_() for t in inputs]
    logits = exact_inputs[0] @ exact_inputs[1].transpose(2, 3) / head_dim**0.5
    if causal:
        hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device="cuda").triu(1)
        logits = logits.masked_fill(hidden, -torch.inf)
    exact_out = logits.softmax(3) @ exact_inputs[2]
    exact = [exact_out, *torch.autograd.grad(exact_out, exact_inputs, dout.double())]
    return {name: (a.double() - b).abs().max().item()
            for name, a, b in zip(("out", "dq", "dk", "dv"), got, exact)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True)
    parser.add_argument("--length", type=positive, default=16384)
    parser.add_argument("--heads", type=positive, default=16)
    parser.add_argument("--repetitions", type=positive, default=20)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("bench/gpu_peers.py: PyTorch sees no GPU", file=sys.stderr)
        sys.exit(2)
    result = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(),
              "cudnn": torch.backends.cudnn.version(), "error_length": LENGTH,
              "rows": [], "errors": [], "refused": []}
    cases = [{"backend": backend, "precision": precision, "head_dim": head_dim, "mask": mask}
             for precision in TYPES for head_dim in (64, 128) for mask in ("full", "causal")
             for backend in BACKENDS]
    for case in cases:
        shape = {name: case[name] for name in ("head_dim", "mask", "precision")}
        try:
            with sdpa_kernel(BACKENDS[case["backend"]]):
                for row in timed(arguments.length, arguments.heads, **shape,
                                 repetitions=arguments.repetitions):
                    result["rows"].append(
                        {**case, "n": arguments.length, "heads": arguments.heads, **row})
                result["errors"].append({**case, **errors(**shape)})
        except RuntimeError as error:
            result["refused"].append({**case, "reason": str(error).partition("\n")[0]})
        torch.cuda.empty_cache()
    with open(arguments.output, "w") as file:
        json.dump(result, file, indent=2)
    print(f"torch {result['torch']} on {result['gpu']}")
    for row in result["rows"]:
        print(f"{row['backend']:6}{row['pass']:9}{row['precision']:5}{row['mask']:7}"
              f"{row['head_dim']:>4}{1e3 * row['seconds']:>10.3f} ms"
              f"{row['flops'] / row['seconds'] / 1e12:>9.1f} TFLOP/s")
    for row in result["refused"]:
        print(f"{row['backend']:6}{row['precision']:5}{row['mask']:7}{row['head_dim']:>4}"
              f"  refused: {row['reason']}")


if __name__ == "__main__":
    main()
