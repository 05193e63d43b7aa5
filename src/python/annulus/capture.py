"""Queries, keys and values of a model, for `annulus attend`."""

import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from annulus.errors import InputError

if TYPE_CHECKING:
    import torch

_NAME = "annulus_capture"


@dataclasses.dataclass
class _Attended:
    """What a layer attended with: (heads, n, d) each, and how."""

    query: "torch.Tensor"
    key: "torch.Tensor"
    value: "torch.Tensor"
    scaling: float
    mask: str
    sink: "torch.Tensor | None"


def capture(model: Any, text: Any, output: str | os.PathLike[str], *,
            layers: Sequence[int] | None = None, tokenizer: Any = None) -> list[str]:
    """Writes an input of `annulus attend` with the queries, keys and values of a model on a text, as they
    go into attention, with the positions that a model puts into them.

    model      of Transformers, encoder or decoder
    text       a string, or ids of tokens, (n) or (1, n)
    output     an HDF5 file; one that is there is replaced
    layers     which ones, by default all: they need to have one mask
    tokenizer  for a string; by default that of the folder that the model was loaded from

    The heads of all layers stand one behind the other, layer by layer: head h of the l-th layer is number
    l H + h. Returns the options that `annulus attend` needs to compute what the model did, such as
    ["--mask", "causal"].

    Raises InputError for layers whose masks differ, and models whose attention cannot be looked into.
    """
    import h5py  # type: ignore[import-untyped]
    import torch
    ids = _ids(model, text, tokenizer)
    attended = _attended(model, ids)
    chosen = range(len(attended)) if layers is None else layers
    if not all(0 <= layer < len(attended) for layer in chosen):
        raise InputError(f"layers: {list(chosen)}; the model has {len(attended)}, from 0")
    some = [attended[layer] for layer in chosen]
    if not some:
        raise InputError(f"model: a {type(model).__name__} has no attention that was looked into; expected "
                         "one whose attn_implementation can be set")
    if len({layer.mask for layer in some}) > 1:
        raise InputError("layers: their masks are " + ", ".join(layer.mask for layer in some)
                         + "; expected layers with one")
    scaling, d = some[0].scaling, some[0].query.shape[-1]
    file_name = os.fspath(output)
    with h5py.File(f"{file_name}.new", "w") as file:
        for name, tensors in (("q", [layer.query for layer in some]), ("k", [layer.key for layer in some]),
                              ("v", [layer.value for layer in some])):
            rows = torch.cat(tensors).transpose(0, 1)
            file[name] = (rows if rows.dtype == torch.float64 else rows.float()).cpu().numpy()
            file[name].attrs["layout"] = "nhd"
        if some[0].sink is not None:
            file["sink"] = torch.cat([layer.sink for layer in some if layer.sink is not None]).double().numpy()
        if any(layer.scaling != scaling for layer in some):
            file["gain"] = [layer.scaling / scaling for layer in some for _ in layer.query]
    os.replace(f"{file_name}.new", file_name)
    options = ["--mask", some[0].mask]
    if not math.isclose(scaling, d ** -0.5, rel_tol=1e-12):
        options += ["--logit-scale", f"none:base={scaling!r}"]
    return options


def _ids(model: Any, text: Any, tokenizer: Any) -> "torch.Tensor":
    import torch
    if isinstance(text, str):
        if tokenizer is None:
            from transformers import AutoTokenizer
            try:
                tokenizer = AutoTokenizer.from_pretrained(model.name_or_path, local_files_only=True)
            except (OSError, ValueError) as error:
                raise InputError(f"tokenizer: none in {model.name_or_path!r}; expected one, or ids of "
                                 "tokens") from error
        text = tokenizer(text, truncation=False)["input_ids"]
    ids = torch.as_tensor(text)
    if ids.ndim == 1:
        ids = ids[None]
    if ids.ndim != 2 or len(ids) != 1 or ids.is_floating_point():
        raise InputError("text: expected a string, or the ids of tokens of one sequence")
    return ids.to(model.device)


def _attended(model: Any, ids: "torch.Tensor") -> list[_Attended]:
    """Of each layer, in their order."""
    import torch
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask
    found: list[_Attended] = []

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **given: Any) -> Any:
        sink = given.get("s_aux")
        found.append(_Attended(query[0], key[0], value[0], given.get("scaling") or query.shape[-1] ** -0.5,
                               _mask_of(mask, query.shape[2]), None if sink is None else sink.detach()))
        return sys.modules[type(module).__module__].eager_attention_forward(
            module, query, key, value, mask, **given)
    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, eager_mask)
    before, training = model.config._attn_implementation, model.training
    model.set_attn_implementation(_NAME)
    try:
        with torch.no_grad():
            model.eval()(input_ids=ids, **({"use_cache": False} if hasattr(model.config, "use_cache") else {}))
    finally:
        model.train(training)
        model.set_attn_implementation(before)
    return found


def _mask_of(mask: Any, n: int) -> str:
    """A mask of Transformers, 0 where a query sees a key, as annulus.Problem has it."""
    import torch
    if mask is None:
        return "full"
    visible = (mask == 0)[0, 0]
    if visible.all():
        return "full"
    reach = int(visible[-1].sum())
    band = torch.ones(n, n, dtype=torch.bool, device=visible.device).tril()
    if reach < n:
        band = band.triu(1 - reach)
    if not torch.equal(visible, band):
        raise InputError("model: a layer's mask is neither causal nor full nor a window; expected one of these")
    return "causal" if reach == n else f"window:{reach - 1}"
