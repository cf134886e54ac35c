"""How fast this machine upscales: a table of everything, or which backend is fastest here."""
