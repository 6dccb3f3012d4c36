"""doctor: report the state of the installation and what is missing."""

from __future__ import annotations

import click

from fungarium.terminal import ProgressBars, as_json, print_json


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Report what is missing or broken, and what to do.

    Checks versions, settings, database, model, snapshot, photos, disk, memory, GPUs, cluster, languages and scripts.
    Changes nothing. Ends with 1 if anything is broken.
    """
    from fungarium.jobs.checkup import BROKEN, check_all

    with ProgressBars("photo") as bars:
        findings = list(check_all(bars))
    broken = [finding for finding in findings if finding.state == BROKEN]
    if as_json:
        print_json({"usable": not broken, "checks": [finding.as_json() for finding in findings]})
        return 1 if broken else 0
    for finding in findings:
        print(f"{finding.state:7} {finding.name:11} {finding.text}")
        if finding.advice:
            print(f"{'':19} {finding.advice}")
    print(f"\n{len(broken)} broken: see above" if broken else "\nnothing is broken")
    return 1 if broken else 0
