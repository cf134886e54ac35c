"""What is done, beside the result: a file for each fact, in a folder that one run holds."""
