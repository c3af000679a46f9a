"""The web server: webhooks in, health and metrics out, and pages for people who sign in.

bodies.py      a request's body, within limits, unpacked
hooks.py       POST /hooks/<plugin>: authentic, readable, taken or kept for replay
site.py        the FastAPI application and its server

pages.py       GET /pages/<plugin>/<path>: `make_pages`, who may open what
visitors.py    who is asking, and what they may see now
login.py       signing in and out: the browser's way to the provider and back
cookies.py     what the browser keeps for us, signed
oidc.py        where people sign in, as it is configured
provider.py    the OpenID provider, asked
tokens.py      what an id token proves
rendering.py   templates to HTML; filters.py: moments, spans, digests
answers.py     headers, downloads, and what a failing page becomes
"""
