"""How `paywall.toml` becomes a `Catalogue`, or a list of mistakes. The door is `service/settings/policy_file.py`.

Read in this order: `mistakes` (what is wrong, and where), `words` (what a name, an id, an origin may look like),
`fields` and `tables` (the shape of the file), `references` (what must fit together), `build` (the frozen values).
"""
