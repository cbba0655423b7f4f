"""Grants for many readers at once, from a CSV: checked whole, staged, committed by one key, rolled forward, undone.

`service.web.import_sheet` reads the file and names every mistake with its line; `planning` compares it with what readers
hold; `bulk` is what web and command line call; `rolling` does what was committed (`applying`), or takes it back (`undoing`),
a chunk at a time, and whoever comes after a crash goes on where it stopped.
"""
