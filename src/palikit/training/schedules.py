"""The learning rate over the steps, as a factor of its highest value.

As big_vision's `create_learning_rate_schedule`: the factor of the decay times that of the warm-up,
which is step / warm-up steps. So the first update of a run with a warm-up changes nothing.
"""

import math

from palikit.train_options import Schedule


def schedule_factor(schedule: Schedule, step: int, total: int, warmup: float) -> float:
    """What the learning rate of one step is multiplied by.

    Args:
        schedule: cosine and linear fall to 0 at `total`; constant does not.
        step: from 0.
        total: steps of the whole run.
        warmup: share of them over which the factor rises from 0, rounded down to whole steps.

    Returns:
        0 to 1.
    """
    rising = int(warmup * total)
    progress = min(max((step - rising) / max(total - rising, 1), 0.0), 1.0)
    factor = {
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "linear": 1 - progress,
        "constant": 1.0,
    }[schedule]
    return factor * min(1.0, step / rising) if rising else factor
