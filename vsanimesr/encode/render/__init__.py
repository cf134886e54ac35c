"""A chunk from its source: enlarged by the filter, encoded by an ffmpeg of its own."""
