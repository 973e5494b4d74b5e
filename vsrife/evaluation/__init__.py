"""Quality of interpolated frames: the published protocols, and skip-frame on any clips."""
