"""Has this happened before? Past incidents that resemble an alert, and what resolved them.

The incidents of the knowledge folder and our own resolved ones are searched by
words and, once the encoder is loaded, by meaning. Where nothing is convincing
the plugin says so instead of showing the least bad match.
"""

from plugins.similar.plugin import Similar

PLUGIN = Similar
