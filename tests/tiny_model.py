"""A recurrent model of a few thousand random weights in a GGUF file: a kind whose memory is a state, no row of tokens.

It writes nonsense, but llama.cpp treats it as it treats any Mamba model.
"""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

LAYERS, WIDTH, INNER, STATE, KERNEL, RANK = 2, 32, 64, 8, 4, 2
TOKENS = [
    "<unk>",
    "<s>",
    "</s>",
    *(f"<0x{byte:02X}>" for byte in range(256)),
    "\u2581",
    *map(chr, range(33, 127)),
]
KINDS = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]


def write_recurrent_model(path: Path) -> None:
    draw = np.random.default_rng(1)
    file = GGUFWriter(path, "mamba")
    file.add_context_length(4096)
    file.add_embedding_length(WIDTH)
    file.add_feed_forward_length(0)
    file.add_head_count(0)
    file.add_block_count(LAYERS)
    file.add_ssm_conv_kernel(KERNEL)
    file.add_ssm_inner_size(INNER)
    file.add_ssm_state_size(STATE)
    file.add_ssm_time_step_rank(RANK)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_tokenizer_model("llama")
    file.add_token_list(TOKENS)
    file.add_token_scores([0.0] * len(TOKENS))
    file.add_token_types([*KINDS, *[TokenType.NORMAL] * (len(TOKENS) - len(KINDS))])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)

    def tensor(name: str, *shape: int) -> None:
        file.add_tensor(name, (0.2 * draw.standard_normal(shape)).astype(np.float32))

    tensor("token_embd.weight", len(TOKENS), WIDTH)
    tensor("output_norm.weight", WIDTH)
    tensor("output.weight", len(TOKENS), WIDTH)
    for layer in (f"blk.{number}" for number in range(LAYERS)):
        tensor(f"{layer}.attn_norm.weight", WIDTH)
        tensor(f"{layer}.ssm_in.weight", 2 * INNER, WIDTH)
        tensor(f"{layer}.ssm_conv1d.weight", INNER, KERNEL)
        tensor(f"{layer}.ssm_conv1d.bias", INNER)
        tensor(f"{layer}.ssm_x.weight", RANK + 2 * STATE, INNER)
        tensor(f"{layer}.ssm_dt.weight", INNER, RANK)
        tensor(f"{layer}.ssm_dt.bias", INNER)
        file.add_tensor(f"{layer}.ssm_a", -np.exp(draw.standard_normal((INNER, STATE))).astype(np.float32))
        tensor(f"{layer}.ssm_d", INNER)
        tensor(f"{layer}.ssm_out.weight", WIDTH, INNER)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
