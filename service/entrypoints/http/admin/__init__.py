"""The page where staff run it, under `/admin`: the same functions as the API's, told to people.

`page` puts it together: an app of its own, mounted beside the API's, so that a session never opens `/v1` and a key in a
header never opens a page. `sessions` says who is signed in, `frame` what every view shares; then one file a view.
"""
