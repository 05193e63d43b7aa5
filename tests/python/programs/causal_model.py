"""Prints a loss after some steps of training, and tokens that are drawn, whatever joins its ranks.

    causal_model.py [mpi]     ranks of mpi4py; else of torchrun, or one alone
"""

import sys

import torch
import torch.distributed as dist
import transformers

import annulus.transformers

comm = None
if "mpi" in sys.argv:
    comm = annulus.comm.mpi()
elif dist.is_torchelastic_launched():
    dist.init_process_group("gloo")

torch.manual_seed(1)
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
    vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, pad_token_id=0, eos_token_id=None, bos_token_id=None))
tokens = torch.randint(1, 50, (2, 101))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
with annulus.transformers.sharded(model, comm=comm) as context:
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        context.sum_gradients()
        optimizer.step()
    torch.manual_seed(2)
    drawn = model.eval().generate(tokens[:, :10], max_new_tokens=10, do_sample=True, top_k=10)
    if context.rank == 0:
        print(float(loss), *drawn[:, 10:].flatten().tolist())
if dist.is_initialized():
    dist.destroy_process_group()
