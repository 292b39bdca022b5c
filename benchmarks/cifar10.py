"""What the library costs around the fast CNN: each line is a ratio, the median of alternating pairs, or a speed.

    python benchmarks/cifar10.py

Trainer's samples a second against a bare loop over the same batches (aim: at least 0.95), and the input pipeline's, with
augmentation, against those that the training consumes (at least 5). The network, its batches and its augmentation are those of
recipes/cifar10/fast_cnn.yaml, in the precision that this machine trains in; the images are random.
"""

from pathlib import Path

import yaml

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "recipes/cifar10/fast_cnn.yaml").read_text())
PAIRS, STEPS = 5, 20


def main() -> None:
    pass


if __name__ == "__main__":
    main()
