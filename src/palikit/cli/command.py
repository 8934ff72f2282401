"""The shape of every command: options in sections, worked examples, errors as one sentence."""

import errno
import sys
from dataclasses import fields
from typing import Any

import click

from palikit.cli.options import RunOptions
from palikit.errors import PaliKitError
from palikit.options import GenerationOptions, LoadOptions

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells count."""

_SECTIONS = (
    ("Inputs and answers", RunOptions),
    ("Generation", GenerationOptions),
    ("Loading the model", LoadOptions),
)


class Command(click.Command):
    """A command whose epilog is its worked examples, a line each."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options in sections, by the options class they belong to."""
        rows = {
            str(parameter.name): record
            for parameter in self.get_params(ctx)
            if not isinstance(parameter, click.Argument)
            and (record := parameter.get_help_record(ctx))
        }
        sections = [(title, [f.name for f in fields(cls)]) for title, cls in _SECTIONS]
        placed = {name for _, names in sections for name in names}
        for title, names in [("Options", [n for n in rows if n not in placed]), *sections]:
            if shown := [rows[name] for name in names if name in rows]:
                with formatter.section(title):
                    formatter.write_dl(shown)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped, so that each can be copied."""
        write_examples(self, formatter)


class Program(click.Group):
    """The command `palikit`: every error made on purpose leaves as one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        # Names of files need not be text, and JSON is UTF-8 whatever the terminal's language.
        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            reconfigure(encoding="utf-8", errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except PaliKitError as error:
            fail(ctx, str(error))
        except KeyboardInterrupt:
            remark("interrupted")
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if not _is_lack_of_memory(error):
                raise
            fail(ctx, "there is not enough memory: try a smaller --batch-size or --dtype bfloat16")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added, verbs first."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped."""
        write_examples(self, formatter)


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether memory ran out, in Python, the system, or torch, which may not have been imported.

    Torch has a class for accelerators and for some systems only words: DefaultCPUAllocator is what
    its allocator on the CPU calls itself in each.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
        return True
    words = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)


def write_examples(command: click.Command, formatter: click.HelpFormatter) -> None:
    """A section of help with the lines of a command's epilog."""
    with formatter.section("Examples"):
        for line in (command.epilog or "").splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def remark(text: str) -> None:
    """One line for the person at the terminal, apart from the answers."""
    click.echo(f"palikit: {text}", err=True)


def fail(ctx: click.Context, sentence: str) -> None:
    """Ends the program with a sentence and exit code 2."""
    remark(f"error: {sentence}")
    ctx.exit(2)
