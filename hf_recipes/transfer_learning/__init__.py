"""Transfer learning: pretrained networks fine-tuned on a small set of images."""
