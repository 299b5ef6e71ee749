"""`import cosai_nb` against `import pandas`, whole processes in turn; fails above 1.3 times."""

import statistics
import subprocess
import sys
import time

ALLOWED = 1.3


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def main() -> int:
    pairs = [(seconds("import cosai_nb"), seconds("import pandas")) for _ in range(9)][1:]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"import cosai_nb {ours * 1e3:.0f} ms, import pandas {theirs * 1e3:.0f} ms, ratio {ratio:.2f} (allowed {ALLOWED})"
    )
    return int(ratio > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
