"""The fields of the request schemas that the model server is held to."""

from __future__ import annotations

import typing

from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

from labs.pods.model_server.chat_request import ChatRequest
from labs.pods.model_server.completion_request import CompletionRequest
from labs.pods.model_server.other_requests import DetokenizeRequest, EmbeddingRequest, TokenizeRequest
from labs.pods.model_server.request_body import Body

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
KINDS: dict[str, type[Body]] = {
    CHAT: ChatRequest,
    COMPLETIONS: CompletionRequest,
    EMBEDDINGS: EmbeddingRequest,
    "/tokenize": TokenizeRequest,
    "/detokenize": DetokenizeRequest,
}


def _names(*typed_dicts: type) -> set[str]:
    return {name for kind in typed_dicts for name in typing.get_type_hints(kind)}


OPENAI: dict[str, set[str]] = {
    CHAT: _names(chat_create_params.CompletionCreateParamsStreaming, chat_create_params.CompletionCreateParamsNonStreaming),
    COMPLETIONS: _names(
        completion_create_params.CompletionCreateParamsStreaming, completion_create_params.CompletionCreateParamsNonStreaming
    ),
    EMBEDDINGS: _names(embedding_create_params.EmbeddingCreateParams),
}
"""By what the installed package of OpenAI's client says."""

_SAMPLING = """
use_beam_search top_k min_p repetition_penalty watermarking length_penalty stop_token_ids include_stop_str_in_output ignore_eos
min_tokens skip_special_tokens spaces_between_special_tokens truncate_prompt_tokens truncation_side prompt_logprobs
logprob_token_ids allowed_token_ids bad_words add_special_tokens structured_outputs response_format priority request_id session_id
return_tokens_as_token_ids return_token_ids routed_experts_prompt_start return_token_offsets return_mm_kwargs cache_salt
kv_transfer_params ec_transfer_params vllm_xargs repetition_detection thinking_token_budget stream_interval
"""
_TEMPLATE = "add_generation_prompt continue_final_message chat_template chat_template_kwargs media_io_kwargs mm_processor_kwargs"
VLLM: dict[str, set[str]] = {
    CHAT: set(f"{_SAMPLING} {_TEMPLATE} echo documents include_reasoning reasoning_effort return_prompt_text".split()),
    COMPLETIONS: set(f"{_SAMPLING} prompt_embeds suffix echo".split()),
    EMBEDDINGS: set(
        f"""{_TEMPLATE} truncate_prompt_tokens padding truncation_side request_id priority cache_salt add_special_tokens messages
        embed_dtype endianness dimensions use_activation encoding_format""".split()
    ),
    "/tokenize": set(f"{_TEMPLATE} model prompt messages add_special_tokens return_token_strs tools".split()),
    "/detokenize": {"model", "tokens"},
}
"""By vLLM's protocol modules, read in November 2026 (commits 002032ee, 030ea52e, 020638a6)."""
