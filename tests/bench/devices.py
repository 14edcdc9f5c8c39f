"""`python -m tests.bench.devices`: what of the engine runs on a device other than the CPU.

Where no GPU is at hand: every predictor, sampler, method, training and measurement runs on a tiny
model on a device that computes on the CPU and refuses what a GPU would refuse (see
`tests.caching.pretended`), and, where a run comes of it, equals the CPU's. Exit code 1 when
something was refused or differs. --quick leaves out what shares its code with another case.
"""

import argparse
import sys
import time
import warnings

from tests.caching import pretended


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.devices", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the cases of the test suite")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    pretended.begin()  # before the engine is there, which decides how it infers
    from tests.bench.device_cases import cases_of, mixed_devices, models, on

    pair = models()
    try:
        on(mixed_devices, pair[1])()
    except RuntimeError:
        sys.stdout.write("tensors of two devices: refused, as they should be\n")
    else:
        sys.stdout.write("tensors of two devices: NOT REFUSED\n")
        return 1
    failed = 0
    for name, case in cases_of(pair, quick=args.quick).items():
        began = time.perf_counter()
        try:
            case()
            said = "runs"
        except Exception as error:  # each case is to have its line
            said, failed = f"FAILED, {type(error).__name__}: {error!s:.200}", failed + 1
        sys.stdout.write(f"{name}: {said} ({time.perf_counter() - began:.1f} s)\n")
        sys.stdout.flush()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
