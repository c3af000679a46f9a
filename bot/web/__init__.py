"""The web server: webhooks in, health and metrics out.

bodies.py   a request's body, within limits, unpacked
hooks.py    POST /hooks/<plugin>: authentic, readable, taken or kept for replay
site.py     the FastAPI application and its server
"""
