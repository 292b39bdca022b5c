"""The last step of `make quickstart`: load the trained model back, count one new image, and say what to look at.

python recipes/quickstart.py outputs/quickstart
"""

import os
import sys
from pathlib import Path

from PIL import Image

from hf_recipes import CellCounter, CellCounterImageProcessor, CellCountingPipeline
from hf_recipes.cell_counting.synthetic import simulate_cells


def main(folder: Path) -> None:
    cells = simulate_cells(1, seed=2026)[0]  # a seed that no split uses
    model = CellCounter.from_pretrained(folder)
    counter = CellCountingPipeline(model=model, image_processor=CellCounterImageProcessor.from_pretrained(folder))
    result = counter(Image.fromarray(cells["image"]), return_overlay=True)
    scale = 3
    result["overlay"].resize([scale * side for side in result["overlay"].size]).save(folder / "counted.png")
    truth = len(cells["points"])
    error = result["count"] / truth - 1
    print(
        f"\nA new simulated image holds {truth} cells; the model counts {result['count']:.1f} ({100 * error:+.1f} %)."
    )
    if abs(error) > 0.05:
        sys.exit("error: that is off by more than 5 %, so something is wrong with this installation or this model")
    print(f"""
Look at   {folder}/counted.png   the image with the predicted density over it
          {folder}/README.md     the model card: test results, baselines, errors
Next      . {os.path.relpath(sys.prefix)}/bin/activate
          hf-recipes count YOUR_IMAGE.png --model {folder} --overlay counted.png
          accelerate launch recipes/cell_counting.py --config recipes/cell_counting/unet.yaml --dataset YOUR_FOLDER --test_size 20
          add --push_to_hub --hub_model_id YOU/cell-counter to share what you trained""")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
