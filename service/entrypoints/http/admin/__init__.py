"""The staff pages under `/admin`: the use cases of the API as forms and tables for people.

`application` builds a Flask application of its own, mounted beside the API's. A session cookie therefore never authorizes a
`/v1` route, and an API key in a header never opens a page. Every other module is one page, or what pages share.
"""
