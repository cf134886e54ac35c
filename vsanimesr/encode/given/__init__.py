"""What the user has chosen: the film, how it is enlarged, how it is compressed."""
