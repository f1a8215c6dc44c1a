"""One of several processes that train a stage together: `torchrun one_process.py FOLDER NAME RECIPE SEQUENCES`.

RECIPE: fields as JSON. SEQUENCES: for how many the second process has memory; 0 for any number.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

from torch import distributed

from tests.training.one_stage import Stages, memory_for


def main() -> None:
    root, name, recipe, sequences = sys.argv[1:]
    distributed.init_process_group("gloo")
    stages = Stages(Path(root))
    short = int(sequences) and distributed.get_rank() == 1
    with memory_for(int(sequences)) if short else nullcontext():
        stages.train(name, **json.loads(recipe))


if __name__ == "__main__":
    main()
