"""From single measurements to medians, ratios and shares of what the machine can do."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.speed.cases import Contender
from benchmarks.speed.machine import Limits
from benchmarks.speed.measurement import Measurement, Trial
from benchmarks.speed.work import highest_decode_rate, shortest_first_token

from palikit.config import PaliGemmaConfig

PIXEL_TOLERANCE = 1e-3
"""Of the mean and spread of pixels in [-1, 1]: a fifth of a grey level at most."""


@dataclass(frozen=True)
class Summary:
    """One contender: medians over all its calls, and its ratios to the first contender.

    Attributes:
        peak_bytes, peak_device_bytes: the largest of all turns.
        first_token_share, decode_share: of the machine's limit, which was measured beside and not
            at the same time: 1 at most but for noise; more where a grammar forces tokens, which
            take no step of their own.
        decode_share_beside: the same of what memory could be read at right before or after each
            run, for on a shared machine that changes from minute to minute.
        first_token_ratio, load_ratio, whole_ratio: the first contender's seconds over this one's.
        decode_ratio: the first contender's tokens/s over this one's.
        memory_ratio: the first contender's peak over this one's.
        same_output: share of ids or texts equal to the first contender's; None where they were not
            asked the same.
        error: why it has not been measured.
    """

    name: str
    load_seconds: float | None = None
    cold_first_token_seconds: float | None = None
    first_token_seconds: float | None = None
    decode_tokens_per_second: float | None = None
    whole_seconds: float | None = None
    peak_bytes: int | None = None
    peak_device_bytes: int | None = None
    first_token_share: float | None = None
    decode_share: float | None = None
    decode_share_beside: float | None = None
    first_token_ratio: float | None = None
    decode_ratio: float | None = None
    load_ratio: float | None = None
    memory_ratio: float | None = None
    whole_ratio: float | None = None
    same_output: float | None = None
    error: str | None = None

    @property
    def peak(self) -> int | None:
        """Bytes of where the model lies: the GPU's memory, or the process's."""
        return self.peak_device_bytes or self.peak_bytes


def summarise(
    contenders: Sequence[Contender],
    trials: Sequence[Trial],
    limits: Limits | None,
    config: PaliGemmaConfig | None,
) -> list[Summary]:
    """One summary a contender, in order.

    Args:
        contenders: of the case; ratios are those of the first to each.
        trials: all turns.
        limits: None to leave shares out.
        config: of the model that was measured; None for a case without a checkpoint.
    """
    measured = {each.name: _measurements(each, trials) for each in contenders}
    first = measured[contenders[0].name]
    summaries = []
    for contender in contenders:
        own = measured[contender.name]
        failed = (t.error for t in trials if t.contender == contender.name and t.error)
        error = next(failed, None if own else "not measured")
        summary = _with_ratios(_medians(contender.name, own), first)
        if contender.batch == contenders[0].batch:  # else they have seen other pictures
            summary = replace(summary, same_output=_same(first, own))
        if own and limits is not None and config is not None:
            summary = _with_shares(summary, own, contender, limits, config)
        summaries.append(replace(summary, error=error))
    return summaries


def _medians(name: str, own: Sequence[Measurement]) -> Summary:
    return Summary(
        name=name,
        load_seconds=_median(own, _load),
        cold_first_token_seconds=_median(own, _cold),
        first_token_seconds=_median(own, _first_token),
        decode_tokens_per_second=_median(own, _rate),
        whole_seconds=_median(own, _whole),
        peak_bytes=_largest(m.peak_bytes for m in own),
        peak_device_bytes=_largest(m.peak_device_bytes for m in own),
    )


def _with_ratios(summary: Summary, first: Sequence[Measurement]) -> Summary:
    best = _medians("", first)
    return replace(
        summary,
        first_token_ratio=_ratio(best.first_token_seconds, summary.first_token_seconds),
        decode_ratio=_ratio(best.decode_tokens_per_second, summary.decode_tokens_per_second),
        load_ratio=_ratio(best.load_seconds, summary.load_seconds),
        memory_ratio=_ratio(best.peak, summary.peak),
        whole_ratio=_ratio(best.whole_seconds, summary.whole_seconds),
    )


def _with_shares(
    summary: Summary,
    own: Sequence[Measurement],
    contender: Contender,
    limits: Limits,
    config: PaliGemmaConfig,
) -> Summary:
    tokens = len(own[0].prompt_ids[0])
    shortest = shortest_first_token(config, contender, tokens, limits)
    highest = highest_decode_rate(config, contender, limits)

    def beside(m: Measurement) -> list[float]:
        pairs = zip(m.decode_tokens_per_second, m.reads_beside, strict=False)
        then = [(rate, replace(limits, read_bytes_per_second=read)) for rate, read in pairs]
        shares = (_ratio(rate, highest_decode_rate(config, contender, at)) for rate, at in then)
        return [share for share in shares if share is not None]

    return replace(
        summary,
        first_token_share=_ratio(shortest, summary.first_token_seconds),
        decode_share=_ratio(summary.decode_tokens_per_second, highest),
        decode_share_beside=_median(own, beside),
    )


def differences(trials: Sequence[Trial]) -> list[str]:
    """What was not the same for all contenders, and makes a comparison void."""
    done = [(trial.contender, m) for trial in trials if (m := trial.measurement) is not None]
    found = []
    for name, measured in done[1:]:
        other, expected = done[0]
        rows = min(len(measured.prompt_ids), len(expected.prompt_ids))
        if measured.prompt_ids[:rows] != expected.prompt_ids[:rows]:
            found.append(f"{name} has other prompt ids than {other}")
        if rows == len(measured.prompt_ids) == len(expected.prompt_ids) and rows:
            pairs = (
                (measured.pixel_mean, expected.pixel_mean),
                (measured.pixel_std, expected.pixel_std),
            )
            if any(abs((a or 0) - (b or 0)) > PIXEL_TOLERANCE for a, b in pairs):
                found.append(f"{name} has other pixels than {other}")
        if measured.threads != expected.threads:
            found.append(f"{name} ran on {measured.threads} threads, {other} on {expected.threads}")
    return sorted(set(found))


def _measurements(contender: Contender, trials: Iterable[Trial]) -> list[Measurement]:
    own = (trial.measurement for trial in trials if trial.contender == contender.name)
    return [measurement for measurement in own if measurement is not None]


def _load(m: Measurement) -> list[float]:
    return [] if m.load_seconds is None else [m.load_seconds]


def _cold(m: Measurement) -> list[float]:
    return [] if m.cold_first_token_seconds is None else [m.cold_first_token_seconds]


def _first_token(m: Measurement) -> list[float]:
    return m.first_token_seconds


def _rate(m: Measurement) -> list[float]:
    return m.decode_tokens_per_second


def _whole(m: Measurement) -> list[float]:
    return m.whole_seconds


def _median(
    measurements: Iterable[Measurement], values: Callable[[Measurement], list[float]]
) -> float | None:
    """Over all values of all turns; None without any."""
    found = [value for measurement in measurements for value in values(measurement)]
    return statistics.median(found) if found else None


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _ratio(first: float | None, second: float | None) -> float | None:
    return None if not first or not second else first / second


def _same(first: Sequence[Measurement], own: Sequence[Measurement]) -> float | None:
    """Share of equal ids, or texts, of the first turn; in the rows both have."""
    if not first or not own:
        return None
    pairs = [
        pair
        for left, right in zip(first[0].output, own[0].output, strict=False)
        for pair in (zip(left, right, strict=False) if isinstance(left, list) else [(left, right)])
    ]
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else None
