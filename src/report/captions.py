"""What pictures say about the files they come from."""

KIND = {"phase": "Phase study", "needle": "Needle study", "sphere": "Sphere study",
        "depth": "Depth study"}
SYMBOLS = {
    "n": "length n",
    "rho": "token correlation ρ",
    "gamma": "softmax strength γ (β = γ ln n)",
    "layer": "layer",
}


def axis_label(results, name):
    """The label of an axis: the customary words, or else those in the file, with the unit."""
    return SYMBOLS.get(name) or label_of(results.axes[name])


def label_of(variable):
    """What the file calls an axis or a variable, with its unit."""
    long_name = variable.attrs.get("long_name", variable.name)
    units = variable.attrs.get("units", "1")
    return long_name if units in ("1", "") else f"{long_name} [{units}]"


def number(value):
    """A number as short as it can be said."""
    return f"{value:.0f}" if value == int(value) else f"{value:.4g}"


def model(results):
    """What the tokens of a study are."""
    config = results.config
    tokens = config.get("tokens")
    words = []
    if "dimension" in config and tokens not in ("simplex", "clustered"):
        words.append(f"d = {config['dimension']}")
    if tokens == "clustered" and "directions" in config:
        words.append(f"{config['directions']} directions")
    if config.get("residual"):
        words.append(f"α = {number(config['residual'])}")
    if tokens:
        words.append(f"{tokens} tokens")
    return words


def points(all_results):
    """How many points are finished, where some are not; else nothing."""
    counts = [results.finished_at() for results in all_results]
    done, total = (sum(column) for column in zip(*counts))
    return [] if done == total else [f"{done} of {total} points"]


def provenance(all_results):
    """Where the numbers come from: facts, each of which fits on a line."""
    def merged(values):
        return ", ".join(dict.fromkeys(str(value) for value in values))

    def attribute(name, length=None):
        return merged(str(results.attributes.get(name, "unknown"))[:length]
                      for results in all_results)

    facts = [f"annulus {attribute('annulus_version')}", f"commit {attribute('git_commit', 10)}",
             f"config sha256 {merged(results.config_hash for results in all_results)}",
             f"ranks {attribute('ranks')}", f"backend {attribute('backend')}"]
    return facts
