"""Take over the members of another system from its export: read the rows, map levels to plans, compare, and import.

`formats` reads the exports, `level_map` the file `takeover.toml`. `planning` decides what each row becomes, and `comparison`
compares the access of each reader before and after. `takeover` is what the entrypoints call.
"""
