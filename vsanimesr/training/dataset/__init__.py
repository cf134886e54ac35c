"""From videos to a store of clips, as section 3 of the paper makes its dataset.

`build` takes each video through `frames`, `shots`, `motion` and `quality` (together `analysis`),
then `select` chooses its clip; `report` shows what came of it.
"""
