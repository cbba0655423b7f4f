"""The exports of other systems: a module for each reads a row into an `ExportedMember`."""
