"""annulus bench kernel: a sweep is one table, and its rows can be compared."""

import itertools

import pytest

SMALL = ["--head-dim", 16, "--repetitions", 2]
COLUMNS = [
    "n_q", "n_k", "heads", "key_heads", "head_dim", "value_dim", "documents", "mask", "precision",
    "ranks", "threads", "pass", "statistics", "schedule", "sharding", "repetitions", "seconds",
    "seconds_min", "seconds_max", "flops", "flops_per_second", "peak_flops_per_second",
    "fraction_of_peak", "relative_clock", "gemm_flops_per_second", "fraction_of_gemm",
    "copy_bytes_per_second", "exposed_seconds", "bytes_sent", "verdict"
]


def area(n, mask):
    """Visible pairs, by the definition of the masks."""
    if mask == "full":
        return n * n
    left, right = {"causal": (n, 0), "window:20": (20, 0), "window:7,3": (7, 3)}[mask]
    return sum(-left <= j - i <= right for i in range(n) for j in range(n))


def test_sweep(annulus):
    masks = ["full", "window:7,3", "causal", "window:20"]
    lists = ["--length", "96,131", "--key-heads", "4,2", "--mask", ",".join(masks), "--precision",
             "fp32,bf16", "--pass", "forward,backward", "--statistics", "off,on"]
    result = annulus.ok("bench", "kernel", *SMALL, *lists, "--json", timeout=600).json
    assert {"backend", "device", "simd_target", "blas"} <= set(result)
    assert result["device"] == "cpu"
    rows = result["rows"]
    assert all(list(row) == COLUMNS for row in rows)
    keys = ["n_k", "key_heads", "mask", "precision", "pass", "statistics"]
    passes = [("forward", "off"), ("forward", "on"), ("backward", "off")]
    assert sorted(tuple(row[key] for key in keys) for row in rows) == sorted(
        (*which, *one)
        for *which, one in itertools.product([96, 131], [4, 2], masks, ["fp32", "bf16"], passes)
    )
    for row in rows:
        forward = 4 * area(row["n_k"], row["mask"]) * 16 * 4
        assert row["flops"] == (2.5 if row["pass"] == "backward" else 1) * forward
        assert row["verdict"] == "VALID" and row["repetitions"] == 2
        assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
        speed = row["flops"] / row["seconds"]
        assert row["flops_per_second"] == pytest.approx(speed)
        assert row["fraction_of_peak"] == pytest.approx(speed / row["peak_flops_per_second"])
        assert row["relative_clock"] > 0
        assert row["exposed_seconds"] >= 0 and row["bytes_sent"] == 0
        assert row["copy_bytes_per_second"] is None  # of a GPU
    # Rows that are compared with each other are measured against the same ceilings.
    for which, group in itertools.groupby(rows, lambda row: (row["n_k"], row["key_heads"])):
        peaks = {row["peak_flops_per_second"] for row in group if row["precision"] == "fp32"}
        assert len(peaks) == 1, which


def test_gemm(annulus):
    """Where BLAS can be told the number of threads there is a figure, and else there is none."""
    result = annulus.ok("bench", "kernel", *SMALL, "--length", 64, "--precision", "fp32,fp64,bf16",
                        "--threads", 1, "--json").json
    for row in result["rows"]:
        if result["blas"].startswith("OpenBLAS"):
            speed = row["flops_per_second"] / row["gemm_flops_per_second"]
            assert row["fraction_of_gemm"] == pytest.approx(speed)
        else:
            assert row["fraction_of_gemm"] is None
    gemm = {row["precision"]: row["gemm_flops_per_second"] for row in result["rows"]}
    assert gemm["bf16"] == gemm["fp32"] and (gemm["fp32"] is None or gemm["fp64"] != gemm["fp32"])


def test_text_folds_what_is_the_same(annulus):
    finished = annulus.ok("bench", "kernel", *SMALL, "--length", 64, "--statistics", "off,on")
    _, same, heading, *rows = finished.out.splitlines()
    assert "n_k 64" in same and "verdict VALID" in same and "pass forward" in same
    assert heading.split()[0] == "statistics" and [row.split()[0] for row in rows] == ["off", "on"]


def test_backward_is_a_pass(annulus):
    flag, option = (
        annulus.ok("bench", "kernel", *SMALL, "--length", 64, *how, "--json").json["rows"]
        for how in (["--backward"], ["--pass", "backward"])
    )
    assert [row["pass"] for row in flag + option] == ["backward", "backward"]


def test_masks_may_be_given_one_by_one(annulus):
    rows = annulus.ok("bench", "kernel", *SMALL, "--length", 64, "--mask", "window:2,3", "--mask",
                      "causal", "--json").json["rows"]
    assert [row["mask"] for row in rows] == ["window:2,3", "causal"]


def test_time_limits_repetitions(annulus):
    def row(*options):
        (one,) = annulus.ok("bench", "kernel", "--head-dim", 16, "--length", 512, "--threads", 1,
                            *options, "--json").json["rows"]
        return one

    assert row()["repetitions"] == 5
    # A pass takes longer than this whatever the machine: its first run is the only one.
    once = row("--row-seconds", 1e-7)
    assert once["repetitions"] == 1
    assert once["seconds_min"] == once["seconds"] == once["seconds_max"] > 0


def test_preset(annulus):
    rows = annulus.ok("bench", "kernel", "--preset", "quick", "--repetitions", 1, "--json",
                      timeout=600).json["rows"]
    assert len(rows) == 2 * 2 * 2 * 3  # head dimensions, masks, precisions, passes
    assert {row["verdict"] for row in rows} == {"VALID"}


def test_what_is_wrong_is_not_timed(annulus):
    # Logits beyond the range of fp32: lse is infinite and the reference's is not.
    options = [*SMALL, "--length", 64, "--precision", "fp32,fp64", "--logit-scale",
               "critical:gamma=1e38"]
    finished = annulus("bench", "kernel", *options, "--json")
    assert finished.code == 1
    assert "INVALID" in finished.err and "1 of 2 rows" in finished.err
    wrong, right = finished.json["rows"]
    assert wrong["verdict"] == "INVALID" and right["verdict"] == "VALID"
    assert wrong["seconds"] is None and wrong["fraction_of_peak"] is None
    assert right["seconds"] > 0


@pytest.mark.parametrize(
    "options, says",
    [
        (["--mask", "full,sideways"], ["--mask", "sideways", "expected"]),
        (["--mask", "full,3"], ["--mask", "full,3"]),
        (["--mask", "window:3,4,5"], ["--mask", "window:3,4,5"]),
        (["--precision", "fp32,fp8"], ["--precision", "fp8", "bf16"]),
        (["--pass", "forward,sideways"], ["--pass", "sideways", "expected"]),
        (["--pass", "forward", "--backward"], ["--pass", "--backward"]),
        (["--statistics", "on,some"], ["--statistics", "some", "expected"]),
        (["--statistics", "off,on", "--backward"], ["--statistics", "forward"]),
        (["--length", "64,x"], ["--length", "'x'"]),
        (["--key-heads", "4,3"], ["--key-heads", "3"]),
        (["--key-heads", "4,-1"], ["--key-heads", "-1"]),
        (["--head-dim", "64,0"], ["--head-dim", "0"]),
        (["--length", "64,,64"], ["--length: ''"]),
        (["--precision", "fp32,"], ["--precision", "''"]),
        (["--mask", "full,"], ["--mask", "'full,'"]),
        (["--preset", ""], ["--preset", "''"]),
        (["--repetitions", "0"], ["--repetitions", "0"]),
        (["--row-seconds", "0"], ["--row-seconds", "0"]),
        (["--row-seconds", "nan"], ["--row-seconds"]),
        (["--preset", "everything"], ["--preset", "everything", "quick"]),
        (["--preset", "quick", "--mask", "full"], ["--preset", "--mask"]),
        (["--preset", "quick", "--documents", "3,4"], ["--documents"]),
        (["--documents", "3,4", "--length", "5,6"], ["--documents", "--length"]),
        (["--progress", "loudly"], ["--progress", "loudly"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_refuses(annulus, options, says):
    annulus.refused("bench", "kernel", *options, says=says)


@pytest.mark.parametrize("options", [["--device", "cuda"], ["--backend", "cuda"]])
def test_without_a_gpu(annulus, options):
    """Refused, with the reason, before anything else is done: this would take minutes."""
    if annulus.ok("info", "--json").json["gpus"]:
        pytest.skip("this machine has a GPU")
    annulus.refused("bench", "kernel", *options, "--length", 65536, "--heads", 64, says=options)
