"""What every step uses: names of files, files that last, ffmpeg, what is said meanwhile."""
