"""Trained classifiers: what they are, where they come from, how they are run."""

import sys

# OpenVINO reports every import and conversion to Google Analytics, unless a file in the home
# directory forbids it, and cannot be imported where there is no home directory. Without the package
# that reports it uses a stub of its own (openvino/tools/ovc/telemetry_utils.py).
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
