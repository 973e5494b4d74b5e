"""What the samples of a frame mean: pixel formats, colour, and the conversion between planes and RGB."""
