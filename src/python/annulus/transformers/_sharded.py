"""The one line: a model whose calls are shared out among ranks."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
import transformers

from annulus.errors import InputError
from annulus.torch.context import Context, communicator
from annulus.transformers._agreement import refuse_differences
from annulus.transformers._cache import CachedCall, spread_of
from annulus.transformers._calls import Pass
from annulus.transformers._families import Family, PositionScale, attention_modules, family_of
from annulus.transformers._gradients import with_gradients_times
from annulus.transformers._inputs import known_inputs, next_labels, own_inputs, shape_of
from annulus.transformers._layout import contexts_of
from annulus.transformers._loss import causal_loss
from annulus.transformers._options import Options
from annulus.transformers._reach import Reach, reaches_of
from annulus.transformers._tokens import tokens_of

_LAYOUTS = 8  # batches whose layout is remembered


class Sharded:
    """What calls of a model have in common inside sharded(), which makes it.

    ranks, rank  of how many this is which
    """

    def __init__(self, model: Any, family: Family, length: int | None, options: Options) -> None:
        self.ranks, self.rank = options.comm.size, options.comm.rank
        self._model, self._length, self._options = model, length, options
        self._reaches = reaches_of(model.config)
        self._layers = len(attention_modules(model))
        self._scales: dict[Any, PositionScale] = {}
        self._layouts: dict[tuple[int, ...], dict[Reach, Context]] = {}
        self._last: Pass | None = None
        self._names = list(inspect.signature(model.forward).parameters)
        if family.local_scale is not None:
            for module in attention_modules(model):
                scale = family.local_scale[1](module)
                if scale is not None:
                    self._scales[module] = scale

    def shard(self, x: torch.Tensor) -> torch.Tensor:
        """This rank's tokens of x (sequences, columns, ...), as the last batch was: (1, rows, ...)."""
        return x.flatten(0, 1)[self._pass.places.to(x.device)][None]

    def unshard(self, x: torch.Tensor) -> torch.Tensor:
        """Collective. (sequences, columns, ...) on all ranks, 0 where there is padding, of each rank's
        (1, rows, ...) of the last batch, such as its logits. Its gradient is this rank's part of that of
        the whole."""
        tokens = self._pass.tokens
        of_tokens = self._pass.context.unshard(x[:, :self._pass.count], 1)[0]
        whole = of_tokens.new_zeros((tokens.shape[0] * tokens.shape[1], *of_tokens.shape[1:]))
        whole = whole.index_copy(0, tokens.places.to(x.device), of_tokens)
        return whole.reshape(*tokens.shape, *of_tokens.shape[1:])

    def sum_gradients(self) -> None:
        """Collective. Replaces the gradients of the model's parameters, of which each rank has the part
        of its tokens, by their sums over ranks, or means if such gradients were asked for: those of the
        loss, the same on all ranks."""
        parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        somewhere = torch.tensor([parameter.grad is not None for parameter in parameters],
                                 dtype=torch.float64)
        self._options.comm.sum(somewhere.numpy())
        for parameter, there in zip(parameters, somewhere):
            if not there:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            wide = torch.promote_types(parameter.grad.dtype, torch.float32)
            total = parameter.grad.to("cpu", wide).contiguous()
            self._options.comm.sum(total.view(-1).numpy())
            parameter.grad.copy_(total / self.ranks if self._averages else total)

    @property
    def _averages(self) -> bool:
        return self._options.gradients == "mean"

    @property
    def _pass(self) -> Pass:
        if self._last is None:
            raise InputError("no batch has been sharded yet; expected a call of the model before")
        return self._last

    def before(self, model: Any, args: tuple[Any, ...],
               given: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
        """Collective. In place of a whole batch, what this rank computes of it."""
        inputs = known_inputs((*zip(self._names, args), *given.items()), model.config)
        refuse_differences(self._options.comm, {
            name: value for name, value in inputs.items() if name not in {"cache", "num_items_in_batch"}})
        cache = inputs.pop("cache", None)
        if cache is None and inputs.get("use_cache"):
            cache = transformers.DynamicCache()
        call = self._pass_of(inputs) if cache is None else self._cached_call(cache, inputs)
        return (), own_inputs(inputs, call)

    def after(self, model: Any, args: tuple[Any, ...], given: dict[str, Any], output: Any) -> Any:
        """Collective with a cache: whoever chooses the next token, on all ranks, sees all logits."""
        call = given["annulus"]
        if not isinstance(call, CachedCall):
            return with_gradients_times(self.ranks, output) if self._averages else output
        call.finish()
        if getattr(output, "logits", None) is not None:
            output.logits = call.gathered(output.logits)
        return output

    def switch_local_scales(self, on: bool) -> None:
        """Whether modules scale queries by where they lie in what they are given: inside, ranks do."""
        for module in self._scales:
            setattr(module, family_of(self._model).local_scale[0], on)  # type: ignore[index]

    def _pass_of(self, inputs: dict[str, Any]) -> Pass:
        shape = shape_of(inputs)
        if self._length is not None and shape[1] != self._length:
            raise InputError(f"input_ids have {shape[1]} columns; expected length, {self._length}")
        if inputs.get("logits_to_keep", 0) != 0:
            raise InputError("logits_to_keep: without a cache, logits are this rank's; expected 0")
        tokens = tokens_of(shape, inputs.get("attention_mask"), inputs.get("position_ids"))
        if "labels" in inputs:
            inputs["labels"] = next_labels(inputs["labels"], tokens)
        contexts = self._layouts.pop(tokens.documents, None) or contexts_of(
            tokens.documents, self._reaches, self._options)
        self._layouts[tokens.documents] = contexts
        while len(self._layouts) > _LAYOUTS:
            del self._layouts[next(iter(self._layouts))]
        self._last = Pass(tokens, contexts, self._options.replaces_scaling, self._scales.get)
        return self._last

    def _cached_call(self, cache: Any, inputs: dict[str, Any]) -> CachedCall:
        shape = shape_of(inputs)
        if "labels" in inputs:
            raise InputError("labels: a loss with a cache; expected use_cache=False")
        keep = inputs.get("logits_to_keep", 0)
        if not isinstance(keep, int):
            raise InputError("logits_to_keep: expected how many of the last ones")
        mask = inputs.get("attention_mask")
        if mask is not None and mask.ndim == 2:
            mask = mask[:, -shape[1]:]
            if not mask[:, -1].all():
                raise InputError("attention_mask: padding behind tokens, with a cache; expected it "
                                 "before them")
        spread = spread_of(cache, shape[0], self._layers, self._length, self._options)
        tokens = tokens_of(shape, mask, inputs.get("position_ids"), spread.turns.lengths)
        return CachedCall(tokens, cache, spread, self._scales.get,
                          keep if "logits_to_keep" in self._names else None)


@contextlib.contextmanager
def sharded(model: Any, length: int | None = None, comm: Any = None, logit_scale: str = "none", *,
            gradients: str = "sum", sharding: str = "auto", schedule: str = "auto", backend: str = "auto",
            threads: int = 0) -> Iterator[Sharded]:
    """Collective. Inside, calls of the model share out their tokens among ranks.

    model        a decoder of Transformers, of one of FAMILIES, the same on all ranks
    length       tokens of each sequence, others are refused; with a cache, how many there are in the end,
                 for logit scales of which length=global; by default any
    comm         as of annulus.torch.Context
    logit_scale  as of annulus.Problem. Its base 1/√d stands for the model's own scaling, any other, such
                 as the 1 of critical, is in place of that
    gradients    "sum", or "mean" where DistributedDataParallel, FSDP or the Trainer of Transformers take
                 the mean over processes of what each of them has: then each has its part times ranks
    sharding, schedule, backend, threads    as of annulus.torch.Context

    A batch goes in whole, the same on all ranks: input_ids or inputs_embeds, labels, attention_mask with
    padding before or behind tokens, position_ids that start again where packed sequences do. It is one
    row of tokens then, without padding, and what comes out is of this rank's: logits (1, rows, classes).
    The loss is that of all tokens, the same on all ranks; of the gradients of parameters each rank has
    its part. With a cache, as generate() has one, keys and values are spread over ranks, and logits are
    whole on all of them.

    Raises InputError, by name, on all ranks, for whatever the model is or is given that would be left
    out.
    """
    family = family_of(model)
    if gradients not in ("sum", "mean"):
        raise InputError(f"gradients is {gradients!r}; expected sum or mean")
    if getattr(model, "loss_type", None) not in (None, "ForCausalLM"):
        raise InputError(f"model has the loss {model.loss_type}; expected ForCausalLM")
    if "_loss_function" in vars(model):
        raise InputError("model.loss_function: the model has one of its own; expected that of ForCausalLM")
    context = Sharded(model, family, length, Options(communicator(comm), logit_scale, sharding,
                                                      schedule, backend, threads, gradients))
    before = model.config._attn_implementation
    handles = [model.register_forward_pre_hook(context.before, with_kwargs=True),
               model.register_forward_hook(context.after, with_kwargs=True)]
    model.set_attn_implementation("annulus")
    model.loss_function = causal_loss
    context.switch_local_scales(False)
    try:
        yield context
    finally:
        context.switch_local_scales(True)
        del model._loss_function
        model.set_attn_implementation(before)
        for handle in handles:
            handle.remove()
