"""Models of Hugging Face Transformers over a sequence that is spread over ranks.

    import annulus.transformers

    with annulus.transformers.sharded(model, length=n) as context:
        loss = model(input_ids=tokens, labels=tokens).loss      # the whole batch goes in, on all ranks
        loss.backward()
        context.sum_gradients()

The import registers attn_implementation="annulus", which is what the model has inside. What is not known
to be right there is refused by name.
"""

from annulus.transformers._attention import attention, register
from annulus.transformers._families import FAMILIES
from annulus.transformers._gains import add_gains
from annulus.transformers._sharded import Sharded, sharded

__all__ = ["FAMILIES", "Sharded", "add_gains", "attention", "sharded"]

register()
