"""A batch as one row of tokens: without padding, and with its packed sequences apart."""

import dataclasses
import itertools
from collections.abc import Sequence

import torch

from annulus.errors import InputError


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of a batch that are no padding, sequence behind sequence, as documents."""

    shape: tuple[int, int]
    """of the batch: sequences and columns"""
    places: torch.Tensor
    """(T) int64, where each token lies in the batch, flattened"""
    documents: tuple[int, ...]
    """cumulated lengths"""
    position_ids: torch.Tensor
    """(T) int64, as the model is to see them"""

    @property
    def counts(self) -> list[int]:
        """How many tokens each document has."""
        return [end - begin for begin, end in itertools.pairwise(self.documents)]


def tokens_of(shape: tuple[int, int], attention_mask: torch.Tensor | None,
              position_ids: torch.Tensor | None, past: Sequence[int] = ()) -> Tokens:
    """The tokens of a batch of this shape.

    attention_mask  (sequences, columns), 0 where there is padding, before or behind a sequence
    position_ids    (1 or sequences, columns); where they do not go on by 1, and there is no mask, a
                    document begins, which is when models see packed sequences. By default they count
                    the tokens of a sequence
    past            how many tokens of each sequence came before, by default none
    """
    if position_ids is not None:
        if position_ids.shape not in {shape, (1, shape[1])}:
            raise InputError(f"position_ids are {tuple(position_ids.shape)}; expected {shape}")
        position_ids = position_ids.cpu().expand(shape)
    mask = torch.ones(shape, dtype=torch.bool)
    if attention_mask is not None:
        if attention_mask.shape != shape:
            raise InputError(f"attention_mask is {tuple(attention_mask.shape)}; expected {shape}, "
                             "1 for tokens and 0 for padding")
        mask = attention_mask.cpu().bool()
    goes_on = torch.ones(shape, dtype=torch.bool)
    goes_on[:, :1] = False
    if position_ids is not None:
        goes_on[:, 1:] &= position_ids.diff(dim=1) == 1
    if attention_mask is not None:
        _refuse_gaps(mask, goes_on if position_ids is not None else None)
        goes_on = mask.cumsum(1) > 1
    places = mask.flatten().nonzero().squeeze(1)
    # A sequence that is all padding is a document without tokens.
    begins = mask & ~goes_on
    lengths = []
    for of_sequence, starts in zip(mask, begins):
        at = [*starts[of_sequence].nonzero().squeeze(1).tolist(), int(of_sequence.sum())]
        lengths += [end - begin for begin, end in itertools.pairwise(at)] or [0]
    documents = tuple(itertools.accumulate(lengths, initial=0))
    if position_ids is None:
        own = torch.cat([torch.arange(length) + before for length, before in
                         zip(lengths, past or itertools.repeat(0))])
    else:
        own = position_ids.flatten()[places]
    return Tokens(shape, places, documents, own)


def _refuse_gaps(mask: torch.Tensor, goes_on: torch.Tensor | None) -> None:
    for sequence, tokens in enumerate(mask):
        at = tokens.nonzero().squeeze(1)
        if len(at) and at[-1] - at[0] + 1 != len(at):
            raise InputError(f"attention_mask: padding between the tokens of sequence {sequence}; "
                             "expected it before or behind them")
        if goes_on is not None and not goes_on[sequence, at[1:]].all():
            raise InputError(f"position_ids of sequence {sequence} start again, beside an "
                             "attention_mask; expected packed sequences without a mask")
