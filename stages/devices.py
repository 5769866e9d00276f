"""Print what this machine can compute with, and what `auto` would choose: python -m stages.devices."""

from lib.runtime.arguments import no_options
from lib.runtime.console import Console
from lib.runtime.device import describe_devices, fewest_fast_threads, measure_threads, resolve_device, resolve_precision


def run(console: Console) -> None:
    """Print the devices, the speed of the CPU by threads, and auto's choices."""
    picked = resolve_device("auto")
    rows = [
        (
            str(info.device),
            info.hardware,
            "?" if info.memory is None else f"{info.memory / 2**30:.1f} GiB",
            "yes" if info.bfloat16 else "no",
            resolve_precision("auto", info.device)[0],
            "auto" if info.device == picked else "",
        )
        for info in describe_devices()
    ]
    console.table(("device", "hardware", "memory", "bfloat16", "precision", ""), rows)
    speeds = measure_threads()
    console.table(("threads", "GFLOP/s"), [(str(count), f"{speed:.0f}") for count, speed in speeds.items()])
    console.header(
        "auto",
        {"device": picked, "precision": resolve_precision("auto", picked)[0], "threads": fewest_fast_threads(speeds)},
    )


if __name__ == "__main__":
    no_options(__doc__)
    run(Console())
