"""The first step: a media file or a script becomes a clip with the exact time of each frame."""
