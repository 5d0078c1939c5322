"""`parley doctor`."""

from __future__ import annotations

import asyncio
import os

import msgspec

from conference.commands.up import DEFAULTS
from conference.machine.doctor import examine
from conference.machine.finding import Finding
from config.settings import SettingsError, load


def doctor(*, json: bool = False) -> int:
    """Check what an operator gets wrong: settings, ports, announced address, servers, clocks, limits.

    Exit code 1 when something must be put right, 0 otherwise. Run it with the settings of the process in
    question (the same PARLEY_* variables).

    Parameters
    ----------
    json
        One JSON array of findings instead of lines.
    """
    findings = _findings()
    if json:
        print(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            print(f"{finding.level:<5} {finding.check}: {finding.found}")
            if finding.advice:
                print(f"      -> {finding.advice}")
    return int(any(finding.level == "fail" for finding in findings))


def _findings() -> list[Finding]:
    try:
        settings, as_up = load(os.environ), load(os.environ, defaults=DEFAULTS)
    except SettingsError as error:
        return [
            Finding(
                check="settings",
                level="fail",
                found=str(error),
                advice="docs/operations.md lists the settings",
            )
        ]
    return [
        Finding(check="settings", level="ok", found="understood"),
        *asyncio.run(examine(settings, as_up)),
    ]
