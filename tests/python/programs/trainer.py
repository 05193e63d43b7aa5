"""Trains with the Trainer of Transformers, and prints its losses, norms of gradients, and evaluation.

    trainer.py BATCHES [RANKS]      batches of a step and a process, ranks of a sequence among the
                                    processes of torchrun; else without annulus, on one process
"""

import contextlib
import sys

import torch
import torch.distributed as dist
import transformers

import annulus.transformers

torch.manual_seed(1)
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
    vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4))
ids = torch.randint(50, (10, 101))
# Texts with other numbers of labels, so that a mean of means is another loss.
labels = ids.masked_fill(torch.rand(10, 101) < torch.linspace(0, 0.9, 10)[:, None], -100)
texts = [dict(input_ids=own, labels=labelled) for own, labelled in zip(ids, labels)]
batches = int(sys.argv[1])
context = None


def of_the_batch(logits, labels):
    return (context.unshard(logits) if context else logits).argmax(2)


def right(predictions):
    counts = predictions.label_ids[:, 1:] >= 0
    return {"right": (predictions.predictions[:, :-1] == predictions.label_ids[:, 1:])[counts].mean()}


trainer = transformers.Trainer(
    model=model, train_dataset=texts, eval_dataset=texts[:8], compute_metrics=right,
    preprocess_logits_for_metrics=of_the_batch, args=transformers.TrainingArguments(
        "unused", use_cpu=True, per_device_train_batch_size=1, per_device_eval_batch_size=2 * batches,
        gradient_accumulation_steps=batches, max_grad_norm=0.1, num_train_epochs=2, learning_rate=1e-2,
        weight_decay=0.1, logging_steps=1, ddp_find_unused_parameters=False, disable_tqdm=True,
        report_to="none", save_strategy="no"))
trainer.remove_callback(transformers.PrinterCallback)
with contextlib.ExitStack() as stack:
    if sys.argv[2:]:
        ranks = int(sys.argv[2])
        mesh = dist.init_device_mesh("cpu", (dist.get_world_size() // ranks, ranks),
                                     mesh_dim_names=("dp_replicate", "cp"))
        trainer.accelerator.state.device_mesh = mesh
        context = stack.enter_context(annulus.transformers.sharded(
            model, comm=mesh["cp"].get_group(), gradients="mean"))
    trainer.train()
    trainer.evaluate()
if trainer.is_world_process_zero():
    names = ("loss", "grad_norm", "eval_loss", "eval_right")
    print(*(float(row[name]) for row in trainer.state.log_history for name in names if name in row))
if dist.is_initialized():
    # A rank of DistributedDataParallel that ends while another one works may be aborted by PyTorch.
    del trainer
    dist.barrier()
    dist.destroy_process_group()
