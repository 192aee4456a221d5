"""What a command loads before it has looked at what it was given: seconds, where it is a deep-learning library."""

import subprocess
import sys

SCRIPT = """
import sys
from personaproof.cli import main
try:
    main()
finally:
    print("loaded:", *[name for name in ("torch", "transformers", "scipy.stats") if name in sys.modules])
"""


def test_a_wrong_file_name_is_told_before_anything_heavy_is_loaded() -> None:
    command = [sys.executable, "-c", SCRIPT, "audit", "nowhere", "--requests", "nofile.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no file at nofile.jsonl" in done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1] == "loaded:"
