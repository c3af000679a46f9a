"""Places outside of the database that remember checkpoints.

`files` keeps them in a file elsewhere, `chat` in a channel, `timestamps` has an
authority say when they were (RFC 3161), and `witnesses` has somebody else check
that each continues the last (C2SP tlog-witness). What is kept in a file or by a
witness is refused where it does not continue what is there.
"""
