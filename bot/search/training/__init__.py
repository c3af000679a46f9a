"""Measure search on folders of known answers, and fit the ranker that ships.

In reading order: `datasets` (a folder of documents and questions, or what is
wrong with it), `baseline` (the BM25 everything is held against), `asking`
(questions put to the bot's own engine), `measures` and `intervals` (figures and
how far they can be trusted), `evaluating` (all of that for one folder),
`fitting`, `calibrating` and `training` (the ranker), `tables`, `plots` and
`reports` (for people).

The running bot imports nothing of this; SciPy and scikit-learn are loaded only
when something is fitted.
"""
