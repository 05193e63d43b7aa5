"""What a run is: a TOML file, read into what it says, with every key known."""

import dataclasses
import tomllib


class ConfigError(Exception):
    """A file that makes no sense; the message names the key."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """A logit scale and the gain that it starts from; gains are learned, one for each head."""

    name: str
    logit_scale: str
    gain: float


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the model, of a training run, and of what is measured afterwards."""

    layers: int
    width: int
    heads: int
    length: int            # of the sequences that it learns from
    sequences: int         # in a step
    steps: int
    learning_rate: float   # the highest, after a tenth of the steps; falls to a tenth along a cosine
    needles: int           # planted in each sequence
    seeds: list[int]
    evaluate_lengths: list[int]  # in training lengths
    evaluate_sequences: int
    checkpoint_seconds: float
    scales: list[Scale]


def read_config(path):
    """Raises ConfigError for a file that is not there, keys that are missing, unknown or of another type."""
    try:
        with open(path, "rb") as file:
            keys = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    scales = keys.pop("scales", [])
    if not isinstance(scales, list) or not scales:
        raise ConfigError(f"{path}: scales: expected at least one [[scales]]")
    config = _made(Config, path, {**keys, "scales": [_made(Scale, f"{path}: scales", each) for each in scales]})
    for name in ("layers", "width", "heads", "length", "sequences", "steps", "evaluate_sequences"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{path}: {name}: {getattr(config, name)}; expected at least 1")
    if config.width % config.heads:
        raise ConfigError(f"{path}: width: {config.width}; expected a multiple of heads, {config.heads}")
    if config.needles < 0 or 2 * config.needles * 16 >= config.length:
        raise ConfigError(f"{path}: needles: {config.needles}; expected some that fit the length")
    if not config.seeds or not config.evaluate_lengths or min(config.evaluate_lengths) < 1:
        raise ConfigError(f"{path}: seeds, evaluate_lengths: expected some, and lengths of 1 or more")
    return config


def _made(kind, where, keys):
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    for name in keys:
        if name not in fields:
            raise ConfigError(f"{where}: {name}: unknown; expected {', '.join(fields)}")
    for name, wanted in fields.items():
        if name not in keys:
            raise ConfigError(f"{where}: {name}: missing")
        value = keys[name]
        fits = {int: type(value) is int, str: type(value) is str,
                float: type(value) in (int, float),
                list[int]: type(value) is list and all(type(each) is int for each in value)}
        if not fits.get(wanted, True):
            raise ConfigError(f"{where}: {name}: {value!r}; expected "
                              f"{getattr(wanted, '__name__', wanted)}")
    return kind(**keys)
