"""PromQL for the three usual questions about counters and histograms. The functions return text: show it, then send it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WINDOW = "10s"
"""Ten scrapes in the lab: short enough to show a failure within seconds. Production uses a minute or more."""


def selector(metric: str, labels: str = "") -> str:
    """``metric{labels}``, without empty braces.

    >>> selector("up", 'job="chat"')
    'up{job="chat"}'
    """
    return f"{metric}{{{labels}}}" if labels else metric


def rate(counter: str, labels: str = "", *, by: Sequence[str] = (), window: str = WINDOW) -> str:
    """Growth of a counter per second, summed over all labels except those in ``by``.

    >>> rate("vllm:generation_tokens_total", by=["pod"])
    'sum by (pod) (rate(vllm:generation_tokens_total[10s]))'
    """
    kept = f" by ({', '.join(by)}) " if by else ""
    return f"sum{kept}(rate({selector(counter, labels)}[{window}]))"


def quantile(q: float, histogram: str, labels: str = "", *, by: Sequence[str] = (), window: str = WINDOW) -> str:
    """A quantile (0 to 1) of a histogram. The sum must keep the buckets' ``le``; quantiles cannot be averaged.

    >>> quantile(0.95, "vllm:time_to_first_token_seconds")
    'histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[10s])))'
    """
    return f"histogram_quantile({q:g}, {rate(f'{histogram}_bucket', labels, by=['le', *by], window=window)})"


def share(part: str, whole: str) -> str:
    """One rate divided by another, 0 to 1; no result while the denominator is zero."""
    return f"({part}) / ({whole} > 0)"


def together(queries: Mapping[str, str], label: str = "line") -> str:
    """Several queries combined into one; the series of each carry its name in ``label``.

    >>> together({"up": "sum(up)"})
    'label_replace(sum(up), "line", "up", "", "")'
    """
    return " or ".join(f'label_replace({promql}, "{label}", "{name}", "", "")' for name, promql in queries.items())
