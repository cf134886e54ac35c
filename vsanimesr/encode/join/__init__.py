"""The last step: chunks and the rest of the source become one file, without encoding again."""
