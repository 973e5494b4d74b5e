"""Average the weights of one network at several steps of its training.

    python tools/average_weights.py OUT.safetensors RUN/model.safetensors OTHER.safetensors ...

Each file counts once. Where the learning rate is still high, steps far from each other err in different ways, and their
mean errs less ("Averaging Weights Leads to Wider Optima and Better Generalization", Izmailov et al., UAI 2018).
Files are as `vsrife train` writes them; OUT has half precision and their metadata. The networks have no normalisation
layers, so there are no statistics to be found anew.
"""

import argparse
import sys
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vsrife.errors import ArgumentError, RifeError
from vsrife.training.export import in_half


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file."""
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no iterator
    except (OSError, SafetensorError) as error:
        raise ArgumentError(f"file ({path}) must be a .safetensors file: {error}") from None


def average(paths: list[Path]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The mean of the files' tensors, half precision, and their metadata. Raises RifeError for another network."""
    first, metadata = read(paths[0])
    total = {key: each.double() for key, each in first.items()}
    for path in paths[1:]:
        given, about = read(path)
        different = [key for key in sorted({*total, *given}) if key not in total or key not in given]
        different += [key for key in total if key in given and given[key].shape != total[key].shape]
        if different or about != metadata:
            what = different[0] if different else "its metadata"
            raise ArgumentError(f"file ({path}) must hold the network of {paths[0]}, and {what} differs; leave it out")
        for key, each in given.items():
            total[key] += each
    mean = {key: each / len(paths) for key, each in total.items()}
    return in_half(mean, "leave files out in which it is not"), metadata


def main() -> int:
    """Write the mean. 2: it is not written, and a line says why."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the files to average")
    options = parser.parse_args()
    try:
        mean, metadata = average(options.files)
        save_file(mean, options.out, metadata=metadata)
    except (RifeError, OSError) as error:
        print(f"average_weights: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: the mean of {len(options.files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
