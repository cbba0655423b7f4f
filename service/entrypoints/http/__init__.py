"""HTTP: parse a request, call a use case, write the answer. This package contains no rules.

`api/` has one file per resource and `admin/` the staff pages. `guards` authorizes, `inputs` validates, and the
schemas in `service.entrypoints.responses` define what is accepted and sent. `access_route` answers `POST /v1/access` ahead
of Flask, with the schemas and the access check that Flask's view also uses.
"""
