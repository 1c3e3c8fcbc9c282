"""Rules for every test of the repository, the notebooks of nbval included.

- No process that tests start reaches another machine (kernels and pytest itself).
- In a notebook, "xfailed" is a failure: after a timeout nbval marks all further cells so, and
  they would count as harmless. A code cell that was never executed fails too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
OFFLINE = ROOT / "tools" / "offline"
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
inherited = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(OFFLINE), str(ROOT), *inherited]))
os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false",
                  PYTHONHASHSEED="0", PYDEVD_DISABLE_FILE_VALIDATION="1")
os.environ.pop("RLVR_PROFILE", None)
exec(compile((OFFLINE / "sitecustomize.py").read_text(), "sitecustomize.py", "exec"), {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn xfailed, xpassed and never executed notebook cells into failures."""
    report = yield
    cell = getattr(item, "cell", None)
    if cell is None or type(item).__name__ != "IPyNbCell" or report.when != "call":
        return report
    if getattr(report, "wasxfail", None) is not None:
        report.outcome, reason = "failed", f"counted as failed: {report.wasxfail}"
        del report.wasxfail
        report.longrepr = f"{item.nodeid}: {reason}"
    elif cell.get("execution_count") is None and report.outcome == "passed":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: the committed notebook never executed this cell"
    return report


def pytest_collectstart(collector):
    """What nbval does not compare: HTML, drawings and binary images differ in their bytes."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("text/html", "image/gif", "image/svg+xml", "image/png",
                                   "image/jpeg")
