"""The configurations: known keys, axes inside their range, and what their comments promise."""

import tomllib

import pytest

from conftest import ROOT

OTHERS = {"platforms", "training"}
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.toml") if path.parent.name not in OTHERS)
KEYS = {
    "phase": {"kind", "tokens", "n", "rho", "gamma", "seed", "precision"},
    "needle": {"kind", "n", "rho", "gamma", "seed", "precision"},
    "sphere": {"kind", "n", "gamma", "dimension", "queries", "seed", "precision"},
    "depth": {"kind", "tokens", "n", "rho", "gamma", "layers", "residual", "seed", "precision"},
}
TOKENS = {"simplex": set(), "gaussian": {"dimension"}, "clustered": {"directions"}}


def test_there_are_configs():
    assert len(CONFIGS) == 11


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_config(path):
    text = path.read_text()
    config = tomllib.loads(text)
    keys = KEYS[config["kind"]] | TOKENS.get(config.get("tokens"), set())
    assert set(config) - {"measure"} == keys
    assert set(config.get("measure", [])) <= {"gradient_norm"}
    rho = config.get("rho", [0.5])
    assert min(ends(rho)) >= 0 and max(ends(rho)) < 1
    assert min(ends(config["gamma"])) >= 0
    if "directions" in config:
        assert all(n % config["directions"] == 0 for n in config["n"])
    comment = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert text.startswith(comment)
    assert "# Cost: " in comment
    assert f"annulus study {path.relative_to(ROOT)} --output {path.stem}.h5" in comment
    assert "annulus report " in comment


def ends(axis):
    return (axis["from"], axis["to"]) if isinstance(axis, dict) else axis
