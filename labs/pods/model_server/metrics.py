"""vLLM's metric names, types, labels and buckets, as dashboards and autoscalers know them.

The names are those of vLLM 0.3x (https://docs.vllm.ai/en/stable/usage/metrics/). Left out is what this server does not have:
LoRA, speculative decoding, other caches than the prefix cache, several engines (the label ``engine`` is always "0").
"""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labs.pods.model_server.kv_cache import BLOCK_TOKENS, KvCache
from labs.pods.model_server.sequence import Finish, Sequence

prometheus_client.disable_created_metrics()

LABELS = ("model_name", "engine")
TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560)
INTER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
REQUEST = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
ITERATION = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """The series of one model server. A scrape shows ``registry``."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._labels = (model, "0")
        prometheus_client.ProcessCollector(registry=self.registry)
        self._count_tokens()
        self._time_requests()
        self._measure_requests()

    def _count_tokens(self) -> None:
        self.preemptions = self._counter("vllm:num_preemptions", "Sequences that were put back because the KV cache was full.")
        self._prompt_tokens = self._counter("vllm:prompt_tokens", "Tokens of prompts that were read, cached ones too.")
        self._cached = self._counter("vllm:prompt_tokens_cached", "Tokens of prompts that the prefix cache had.")
        by_source = Counter(
            "vllm:prompt_tokens_by_source", "The same by where they came from.", (*LABELS, "source"), registry=self.registry
        )
        self._computed = by_source.labels(*self._labels, "local_compute")
        self._hit = by_source.labels(*self._labels, "local_cache_hit")
        self._generation_tokens = self._counter("vllm:generation_tokens", "Tokens of answers.")
        self._queries = self._counter("vllm:prefix_cache_queries", "Tokens that were looked up in the prefix cache.")
        self._hits = self._counter("vllm:prefix_cache_hits", "Tokens that were found there.")
        self.iteration = self._histogram("vllm:iteration_tokens_total", "Tokens per engine step.", ITERATION)
        success = Counter("vllm:request_success", "Requests that ended.", (*LABELS, "finished_reason"), registry=self.registry)
        self._success = {reason: success.labels(*self._labels, reason.value) for reason in Finish}

    def _time_requests(self) -> None:
        self._ttft = self._histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.", TTFT)
        self._inter_token = self._histogram("vllm:inter_token_latency_seconds", "Between two tokens.", INTER_TOKEN)
        self._per_token = self._histogram(
            "vllm:request_time_per_output_token_seconds", "Mean time of a request's tokens after the first.", INTER_TOKEN
        )
        self._e2e = self._histogram("vllm:e2e_request_latency_seconds", "From arrival to the end.", REQUEST)
        self._queue = self._histogram("vllm:request_queue_time_seconds", "Waiting for a slot.", REQUEST)
        self._inference = self._histogram("vllm:request_inference_time_seconds", "From the slot to the end.", REQUEST)
        self._prefill = self._histogram("vllm:request_prefill_time_seconds", "From the slot to the first token.", REQUEST)
        self._decode = self._histogram("vllm:request_decode_time_seconds", "From the first token to the end.", REQUEST)

    def _measure_requests(self) -> None:
        self._prompt = self._histogram("vllm:request_prompt_tokens", "Prompt tokens per request.", TOKENS)
        self._generation = self._histogram("vllm:request_generation_tokens", "Generated tokens per request.", TOKENS)
        self._max_generation = self._histogram(
            "vllm:request_max_num_generation_tokens", "The most a request could have generated.", TOKENS
        )
        self._max_tokens = self._histogram("vllm:request_params_max_tokens", "The request's max_tokens.", TOKENS)
        self._n = self._histogram("vllm:request_params_n", "The request's n.", (1, 2, 5, 10, 20))
        self._prefill_computed = self._histogram(
            "vllm:request_prefill_kv_computed_tokens", "Prompt tokens per request that were not cached.", TOKENS
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, LABELS, registry=self.registry).labels(*self._labels)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, LABELS, buckets=buckets, registry=self.registry).labels(*self._labels)

    def watch(self, running: Callable[[], int], waiting: Callable[[], int], cache: KvCache) -> None:
        """Read the gauges from the engine at each scrape."""
        for name, text, value in (
            ("vllm:num_requests_running", "Requests that have a slot.", running),
            ("vllm:num_requests_waiting", "Requests that wait for one.", waiting),
            ("vllm:kv_cache_usage_perc", "Share of the KV-cache blocks in use, 0 to 1.", lambda: cache.usage),
        ):
            Gauge(name, text, LABELS, registry=self.registry).labels(*self._labels).set_function(value)
        config = {
            "block_size": str(BLOCK_TOKENS),
            "enable_prefix_caching": str(cache.prefix_caching),
            "num_gpu_blocks": str(cache.total),
        }
        info = Gauge("vllm:cache_config_info", "How the cache is set up.", (*LABELS, *config), registry=self.registry)
        info.labels(*self._labels, *config.values()).set(1)

    def looked_up(self, tokens: int, found: int) -> None:
        """A prompt got its first slot; the prefix cache held ``found`` of its tokens."""
        self._queries.inc(tokens)
        self._hits.inc(found)

    def prompt_read(self, sequence: Sequence) -> None:
        """A whole prompt is now in the cache, and its first token comes."""
        self._prompt_tokens.inc(sequence.prompt_tokens)
        self._cached.inc(sequence.cached)
        self._hit.inc(sequence.cached)
        self._computed.inc(sequence.prompt_tokens - sequence.cached)

    def token(self, sequence: Sequence, now: float) -> None:
        """The next token of ``sequence`` comes ``now``."""
        self._generation_tokens.inc()
        if sequence.last_token is None:
            self._ttft.observe(now - sequence.arrived)
        else:
            self._inter_token.observe(now - sequence.last_token)

    def ended(self, sequence: Sequence, reason: Finish) -> None:
        """Book a request that ended; phases it never reached are left out."""
        self._success[reason].inc()
        self._prompt.observe(sequence.prompt_tokens)
        self._generation.observe(sequence.generated)
        self._max_generation.observe(sequence.max_tokens)
        self._max_tokens.observe(sequence.max_tokens)
        if sequence.n is not None:
            self._n.observe(sequence.n)
        self._prefill_computed.observe(sequence.prompt_tokens - sequence.cached)
        s = sequence
        for histogram, begin, end in (
            (self._e2e, s.arrived, s.ended),
            (self._queue, s.arrived, s.scheduled),
            (self._inference, s.scheduled, s.ended),
            (self._prefill, s.scheduled, s.first_token),
            (self._decode, s.first_token, s.ended),
        ):
            if begin is not None and end is not None:
                histogram.observe(end - begin)
        if s.first_token is not None and s.last_token is not None and s.generated > 1:
            self._per_token.observe((s.last_token - s.first_token) / (s.generated - 1))
