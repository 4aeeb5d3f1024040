"""``python -m labs.pods model-server``: an OpenAI-compatible server on one (simulated) GPU."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

from aiohttp import web

from labs.pods.model_server import gpu as gpus
from labs.pods.model_server.answers import Answers
from labs.pods.model_server.classifier import Classifier, examples
from labs.pods.model_server.engine import Engine
from labs.pods.model_server.inference_protocol import InferenceProtocol
from labs.pods.model_server.kv_cache import BLOCK_TOKENS, KvCache
from labs.pods.model_server.lifecycle import Lifecycle, Phase, Weights
from labs.pods.model_server.metrics import Metrics
from labs.pods.model_server.openai_handlers import OpenAiApi
from labs.pods.model_server.retrieval import Index
from labs.pods.model_server.scheduler import Limits
from labs.pods.model_server.server import Server

log = logging.getLogger(__name__)

GIB = 2**30
KV_BYTES_PER_TOKEN = 2 * 40 * 5120 * 2
"""Keys and values, 40 layers, hidden size 5120, 2 bytes each: the shape of LLaMA-13B (Touvron et al. 2023)."""
STILL_ACCEPTING = 1.5
"""Seconds after SIGTERM in which new requests are still taken: until the last proxy knows that this endpoint is gone."""


def parser() -> argparse.ArgumentParser:
    """The flags; those that vLLM also has are named as there."""
    p = argparse.ArgumentParser(prog="model-server", description="OpenAI-compatible model server on one simulated GPU.")
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--metrics-port", type=int, default=8001)
    p.add_argument("--served-model-name", default="boring-runbook")
    p.add_argument("--max-num-seqs", type=_positive, default=8, help="sequences decoded at once")
    p.add_argument("--max-waiting", type=_positive, default=32, help="places in the queue; further requests get 429")
    p.add_argument("--max-model-len", type=_positive, default=2048, help="tokens of prompt and answer together")
    p.add_argument("--max-num-batched-tokens", type=_positive, default=512, help="tokens of one engine step")
    p.add_argument("--num-gpu-blocks-override", type=_positive, default=1024, help=f"KV-cache blocks of {BLOCK_TOKENS} tokens")
    p.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction, default=True, help="default: on")
    p.add_argument("--request-timeout", type=float, default=120.0, help="seconds a request may take, waiting included")
    p.add_argument("--weights-gib", type=float, default=24.2, help="size of the weights: 13 billion parameters of 2 bytes")
    p.add_argument("--load-seconds", type=float, default=2.0, help="how long loading the weights takes")
    p.add_argument("--tokens-per-second", type=float, default=55.0, help="pace of one sequence at full clocks; 0: no pacing")
    p.add_argument("--prefill-tokens-per-second", type=float, default=6000.0, help="only without a GPU: a GPU sets its own pace")
    p.add_argument("--drain-seconds", type=float, default=20.0, help="how long running requests may take after SIGTERM")
    return p


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1; found {text}")
    return value


def served_by(gpu_uuid: str) -> dict[str, str]:
    """Response headers that name who answered; the names come from the downward API."""
    env = os.environ
    return {
        "x-served-by-pod": env.get("POD_NAME", "none"),
        "x-served-by-node": env.get("NODE_NAME", "none"),
        "x-served-by-gpu": gpu_uuid,
        "x-served-by-cluster": env.get("CLUSTER_NAME", "none"),
    }


def build(args: argparse.Namespace) -> Server:
    """A server, not yet started. Call this inside a running event loop."""
    gpu = gpus.of_environment(args.prefill_tokens_per_second)
    metrics = Metrics(args.served_model_name)
    limits = Limits(args.max_num_seqs, args.max_waiting, args.max_num_batched_tokens, args.tokens_per_second)
    engine = Engine(limits, KvCache(args.num_gpu_blocks_override, prefix_caching=args.enable_prefix_caching), metrics)
    weights = Weights(int(args.weights_gib * GIB), args.load_seconds, KV_BYTES_PER_TOKEN * BLOCK_TOKENS)
    headers = served_by(gpu.uuid)
    lifecycle = Lifecycle(engine, gpu, weights, headers["x-served-by-pod"])
    index = Index.of_file()
    openai = OpenAiApi(args.served_model_name, Answers(index, args.max_model_len), engine, lifecycle, args.request_timeout)
    triage = InferenceProtocol(Classifier(examples(index.entries)))
    return Server(engine, lifecycle, metrics, openai, triage, headers)


async def serve(args: argparse.Namespace) -> None:
    """Listen, load, serve until SIGTERM or SIGINT, drain."""
    server = build(args)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = await _listen(server.metrics_application(), args.metrics_port, 0)
    api = await _listen(server.application(), args.port, args.drain_seconds)
    life = asyncio.create_task(server.lifecycle.run())
    leave = asyncio.create_task(stop.wait())
    await asyncio.wait({life, leave}, return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        life.result()  # a bug: show it, with its traceback
    if server.lifecycle.phase is Phase.SERVING:
        log.info("draining: %d running, %d waiting", len(server.engine.running), len(server.engine.waiting))
        server.lifecycle.drain()
        await asyncio.sleep(STILL_ACCEPTING)
    await api.cleanup()
    life.cancel()
    await metrics.cleanup()
    await server.lifecycle.gpu.close()


async def _listen(app: web.Application, port: int, drain_seconds: float) -> web.AppRunner:
    """Handlers are cancelled when their client leaves; that frees the slot."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=drain_seconds)
    await runner.setup()
    await web.TCPSite(runner, os.environ.get("BIND_ADDRESS", "0.0.0.0"), port).start()
    return runner


def main(argv: list[str]) -> int:
    """Entry point; the exit code is 0 after a drain, 1 if the address is taken, 2 for wrong flags."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    if args.max_model_len > args.num_gpu_blocks_override * BLOCK_TOKENS:
        tokens = args.num_gpu_blocks_override * BLOCK_TOKENS
        parser().error(f"expected the KV cache to hold --max-model-len {args.max_model_len} tokens; it holds {tokens}")
    try:
        asyncio.run(serve(args))
    except OSError as error:
        print(f"cannot listen: {error}", file=sys.stderr)
        return 1
    return 0
