"""Results as JSON: every single measurement, what they come to, and where they were made."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.speed.cases import Case
from benchmarks.speed.environment import Environment
from benchmarks.speed.machine import Limits
from benchmarks.speed.measurement import Trial
from benchmarks.speed.running import Settings
from benchmarks.speed.summary import Summary


def write_report(
    folder: Path,
    case: Case,
    settings: Settings,
    where: Environment,
    limits: Limits | None,
    trials: list[Trial],
    summaries: list[Summary],
    remarks: list[str],
) -> Path:
    """One file a case and device, in the place of an earlier one."""
    report = {
        "case": asdict(case),
        "device": settings.device,
        "date": datetime.now(UTC).date().isoformat(),
        "environment": asdict(where),
        "threads": settings.threads,
        "repeats": settings.repeats,
        "runs": settings.runs,
        "weights": "random" if settings.checkpoints.given is None else "given",
        "limits": None if limits is None else asdict(limits),
        "remarks": remarks,
        "summaries": [asdict(summary) for summary in summaries],
        "trials": [asdict(trial) for trial in trials],
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{case.name}-{settings.device}.json"
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return file
