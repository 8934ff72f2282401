"""The command `palikit`. Thin: what is heavy is imported inside the command that needs it."""

try:
    from palikit.cli.program import main
except KeyboardInterrupt:  # Ctrl-C before there is a command that could say so
    raise SystemExit(130) from None

__all__ = ["main"]
