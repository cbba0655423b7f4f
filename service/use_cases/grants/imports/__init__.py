"""Grants for many readers at once, from a CSV: checked whole, staged, committed by one key, rolled forward, undone.

`csv_file` reads the file and names every mistake with its line; `plan` compares it with what readers hold; `grant_imports`
is what web and command line call; `roll_forward` does what was committed (`apply`), or takes it back (`undo`), a chunk at a
time, and whoever comes after a crash goes on where it stopped.
"""
