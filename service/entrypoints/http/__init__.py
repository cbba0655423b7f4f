"""HTTP: parse, call, answer. No rules live here.

One file a resource; `guards` says who may, `schemas` what a request looks like, `errors` how a refusal is answered. The hot
route is answered ahead of Flask by `hot_route`, from the same schema and the same access_check as the Flask view beside it.
"""
