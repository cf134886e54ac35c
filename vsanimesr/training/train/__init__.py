"""One stage of training: recipe, samples, losses, loop."""
