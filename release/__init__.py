"""What it takes to publish: wheels for every platform, and proof that they work."""
