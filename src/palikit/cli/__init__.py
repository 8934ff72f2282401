"""The command `palikit`. Thin: what is heavy is imported inside the command that needs it."""

from palikit.cli.garbage import no_search, no_search_at_end

no_search_at_end()
try:
    with no_search():
        from palikit.cli.program import main
except KeyboardInterrupt:  # Ctrl-C before there is a command that could say so
    raise SystemExit(130) from None

__all__ = ["main"]
