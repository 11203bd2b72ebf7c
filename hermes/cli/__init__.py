"""The command line: serve, chat, ctl."""
