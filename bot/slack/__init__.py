"""Slack: the only folder that knows the Slack SDK.

Out: `chat` posts what `blocks` draws, through `queue` and `api`. In: `listeners`
acknowledge, `payloads` read, `dispatch` runs the handler and turns a no into
words, `replies` show the answer, `forms` are the modals, `home` the home page.
`manifest` tells Slack what is in use; `app` puts it all together.
"""
