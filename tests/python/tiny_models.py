"""Models of each family with random weights, small enough to compare to the last digits."""

import torch
import transformers

SIZES = dict(vocab_size=61, hidden_size=32, intermediate_size=24, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
             pad_token_id=0, bos_token_id=1, eos_token_id=None)
ALTERNATING = dict(layer_types=["sliding_attention", "full_attention"], sliding_window=7)
SCALED = dict(rope_type="yarn", rope_theta=10000.0, factor=2.0, llama_4_scaling_beta=0.1,
              original_max_position_embeddings=8, mscale=1.0, mscale_all_dim=1.0, beta_fast=32.0,
              beta_slow=1.0)

FAMILIES = {
    "llama": (transformers.LlamaForCausalLM, {}),
    "qwen2": (transformers.Qwen2ForCausalLM, dict(ALTERNATING, use_sliding_window=True)),
    "qwen3": (transformers.Qwen3ForCausalLM, {}),
    "gpt_oss": (transformers.GptOssForCausalLM,
                dict(ALTERNATING, num_local_experts=4, num_experts_per_tok=2)),
    "llama4_text": (transformers.Llama4ForCausalLM,
                    dict(num_local_experts=2, intermediate_size_mlp=24, moe_layers=[1],
                         no_rope_layers=[1, 0], attention_chunk_size=8, floor_scale=5,
                         attn_temperature_tuning=True, num_experts_per_tok=1)),
    "ministral3": (transformers.Ministral3ForCausalLM, dict(rope_parameters=SCALED)),
    "gemma3_text": (transformers.Gemma3ForCausalLM,
                    dict(ALTERNATING, query_pre_attn_scalar=5)),
}
"""By model_type: the class, and what its configuration has beside SIZES."""


def tiny(family, seed=1, dtype=torch.float64, **changes):
    """A model whose weights are large enough that attention is not flat."""
    kind, own = FAMILIES[family]
    config = kind.config_class(**{**SIZES, **own, **changes})
    config._attn_implementation = config._experts_implementation = "eager"
    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(dtype).eval()
