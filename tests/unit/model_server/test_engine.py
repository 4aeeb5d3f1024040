"""Continuous batching: tokens come at the GPU's pace, slots and blocks come back, the queue is bounded."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from labs.pods.model_server.engine import Engine, QueueFull
from labs.pods.model_server.gpu import Speed
from labs.pods.model_server.kv_cache import KvCache
from labs.pods.model_server.metrics import Metrics
from labs.pods.model_server.scheduler import Limits
from labs.pods.model_server.sequence import DeadlineExceeded, EngineError, Finish, Sequence

FAST = Limits(max_num_seqs=2, max_waiting=2, sequence_tokens_per_second=0)


def sequence(tokens: int = 10, prompt: int = 20) -> Sequence:
    return Sequence(["x"] * prompt, [str(i) for i in range(tokens)], Finish.STOP, tokens)


@pytest.fixture
async def running() -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def start(running: list[asyncio.Task[None]], limits: Limits = FAST, blocks: int = 100) -> tuple[Engine, Metrics]:
    metrics = Metrics("m")
    engine = Engine(limits, KvCache(blocks), metrics)
    running.append(asyncio.create_task(engine.run()))
    return engine, metrics


async def complete(engine: Engine, seq: Sequence) -> list[str]:
    with engine.submit(seq):
        return [piece async for piece in seq]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"model_name": "m", "engine": "0", **labels})


async def test_every_token_comes_once_and_in_order(running: list[asyncio.Task[None]]) -> None:
    engine, metrics = start(running)
    answers = await asyncio.gather(*(complete(engine, sequence(n)) for n in (3, 7, 11)))
    assert answers == [[str(i) for i in range(n)] for n in (3, 7, 11)]
    assert (engine.running, engine.waiting, engine.cache.used) == ([], [], 0)
    assert value(metrics, "vllm:generation_tokens_total") == 21
    assert value(metrics, "vllm:prompt_tokens_total") == 60
    assert value(metrics, "vllm:request_success_total", finished_reason="stop") == 3


async def test_the_queue_is_bounded(running: list[asyncio.Task[None]]) -> None:
    engine, _ = start(running, Limits(max_num_seqs=1, max_waiting=2, sequence_tokens_per_second=50))
    others = [asyncio.create_task(complete(engine, sequence())) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as caught, engine.submit(sequence()):
        pass
    assert caught.value.retry_after >= 1
    await asyncio.gather(*others)
    assert len(await complete(engine, sequence())) == 10


async def test_a_client_that_leaves_frees_its_slot_and_blocks(running: list[asyncio.Task[None]]) -> None:
    engine, metrics = start(running, Limits(max_num_seqs=1, sequence_tokens_per_second=50))
    leaving = asyncio.create_task(complete(engine, sequence(1000)))
    await asyncio.sleep(0.1)
    assert len(engine.running) == 1 and engine.cache.used > 0
    leaving.cancel()
    await asyncio.sleep(0)
    await asyncio.wait([leaving])
    assert engine.running == [] and engine.cache.used == 0
    assert value(metrics, "vllm:request_success_total", finished_reason="abort") == 1
    assert len(await complete(engine, sequence(2))) == 2


async def test_a_slow_gpu_slows_every_token(running: list[asyncio.Task[None]]) -> None:
    engine, _ = start(running, Limits(sequence_tokens_per_second=200))
    loop = asyncio.get_running_loop()
    seconds = []
    for pace in (1.0, 0.25):
        engine.speed = Speed(pace=pace)
        begin = loop.time()
        await complete(engine, sequence(20))
        seconds.append(loop.time() - begin)
    assert seconds[0] >= 19 / 200
    assert seconds[1] >= 19 / 50


async def test_a_full_cache_preempts_and_still_answers_all(running: list[asyncio.Task[None]]) -> None:
    engine, metrics = start(running, Limits(max_num_seqs=4, sequence_tokens_per_second=0), blocks=6)
    answers = await asyncio.gather(*(complete(engine, sequence(40)) for _ in range(4)))
    assert all(answer == [str(i) for i in range(40)] for answer in answers)
    assert (value(metrics, "vllm:num_preemptions_total") or 0) > 0
    assert engine.cache.used == 0


async def test_a_lost_gpu_fails_what_runs_and_what_comes(running: list[asyncio.Task[None]]) -> None:
    engine, _ = start(running, Limits(max_num_seqs=1, sequence_tokens_per_second=50))
    tasks = [asyncio.create_task(complete(engine, sequence(1000))) for _ in range(2)]
    await asyncio.sleep(0.05)
    engine.kill(EngineError("CUDA error"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, EngineError) for result in results)
    with pytest.raises(EngineError), engine.submit(sequence()):
        pass
    assert engine.cache.used == 0


async def test_without_pacing_one_core_streams_thousands_of_tokens(running: list[asyncio.Task[None]]) -> None:
    engine, _ = start(running, Limits(max_num_seqs=8, max_waiting=100, sequence_tokens_per_second=0), blocks=1000)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.gather(*(complete(engine, sequence(500)) for _ in range(20)))
    assert 10_000 / (loop.time() - begin) > 3000


async def test_a_cached_prefix_is_not_computed_again(running: list[asyncio.Task[None]]) -> None:
    engine, metrics = start(running)
    await complete(engine, sequence(1, prompt=100))
    first = engine.take_work(pod="", weights_bytes=0, block_bytes=1, seconds=1).prefill_tokens
    await complete(engine, sequence(1, prompt=100))
    second = engine.take_work(pod="", weights_bytes=0, block_bytes=1, seconds=1).prefill_tokens
    assert (first, second) == (100, 4)  # six full blocks of 16 are known
    assert value(metrics, "vllm:prefix_cache_queries_total") == 200
    assert value(metrics, "vllm:prefix_cache_hits_total") == 96
    assert value(metrics, "vllm:prompt_tokens_by_source_total", source="local_compute") == 104
    assert value(metrics, "vllm:prompt_tokens_cached_total") == 96


async def test_a_cached_prefix_comes_sooner_on_a_paced_gpu(running: list[asyncio.Task[None]]) -> None:
    engine, _ = start(running, Limits(sequence_tokens_per_second=1000))
    engine.speed = Speed(prefill_tokens_per_second=1000)
    seconds = []
    for _ in range(2):
        seq = sequence(1, prompt=400)
        await complete(engine, seq)
        seconds.append((seq.first_token or 0) - seq.arrived)
    assert seconds[0] >= 0.4 > 0.25 > seconds[1]


async def test_a_hung_gpu_stops_every_token_until_it_goes_on(running: list[asyncio.Task[None]]) -> None:
    engine, _ = start(running, Limits(sequence_tokens_per_second=1000))
    engine.speed = Speed(pace=0)
    task = asyncio.create_task(complete(engine, sequence(3)))
    await asyncio.sleep(0.15)
    assert not task.done() and engine.last_result < 0
    engine.speed = Speed()
    assert await task == ["0", "1", "2"]


@pytest.mark.parametrize("slots", [0, 1])
async def test_a_deadline_ends_who_runs_and_who_waits(running: list[asyncio.Task[None]], slots: int) -> None:
    engine, _ = start(running, Limits(max_num_seqs=1, sequence_tokens_per_second=20))
    others = [asyncio.create_task(complete(engine, sequence(1000))) for _ in range(1 - slots)]
    await asyncio.sleep(0.02)
    seq = sequence(1000)
    with pytest.raises(DeadlineExceeded), engine.submit(seq, deadline=0.1):
        async for _ in seq:
            pass
    assert seq not in engine.running and seq not in engine.waiting and seq.blocks == []
    assert len(engine.running) == len(others)
    for other in others:
        other.cancel()


async def test_an_empty_answer_only_reads_the_prompt(running: list[asyncio.Task[None]]) -> None:
    engine, metrics = start(running)
    assert await complete(engine, Sequence(["x"] * 30, [], Finish.STOP, 1)) == []
    assert value(metrics, "vllm:generation_tokens_total") == 0 and value(metrics, "vllm:prompt_tokens_total") == 30
