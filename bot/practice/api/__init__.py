"""The Web API: one module per family of Slack methods, each a table from method to function.

`call` reads arguments and checks scopes, `server` takes requests, `methods` joins the tables.
"""
