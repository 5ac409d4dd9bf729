"""Memory of the idle site: the proportional set size of every process, and that none has a computing library mapped.

python -m benchmarks.idle
"""

import sys
from pathlib import Path

from benchmarks.site import MIB, machine, measured_site, part, proportional_bytes, settle

LIMIT_BYTES = 1000 * MIB
FORBIDDEN = ("tensorflow", "/keras/", "openvino")


def main() -> int:
    with measured_site() as measured:
        settle(measured.site)
        rows = sorted(
            (part(process), process.pid, proportional_bytes(process)) for process in measured.site.processes()
        )
        mapped = {
            pid: sorted(word for word in FORBIDDEN if word in Path(f"/proc/{pid}/maps").read_text())
            for _name, pid, _size in rows
        }
    print(f"{'process':14}{'pid':>8}{'PSS MiB':>10}   {machine()}")
    for name, pid, size_bytes in rows:
        print(f"{name:14}{pid:>8}{size_bytes / MIB:>10.1f}   {', '.join(mapped[pid])}")
    total_bytes = sum(size_bytes for _name, _pid, size_bytes in rows)
    print(f"{'all':14}{len(rows):>8}{total_bytes / MIB:>10.1f}   (at most {LIMIT_BYTES / MIB:.0f})")
    if faults := [f"{name} ({pid}) has {', '.join(mapped[pid])} mapped" for name, pid, _ in rows if mapped[pid]]:
        print("\n".join(faults))
    return 1 if faults or total_bytes > LIMIT_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
