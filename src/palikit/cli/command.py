"""The shape of every command: options in sections, worked examples, errors as one sentence."""

import errno
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TextIO

import click

from palikit.cli.batch_options import BatchOptions
from palikit.cli.options import ParallelOptions, RunOptions
from palikit.cli.serve_replicas import ReplicaOptions
from palikit.errors import InputError, PaliKitError
from palikit.options import GenerationOptions, LoadOptions, ServeOptions
from palikit.published import BUILT_IN
from palikit.train_options import LoraOptions, LossOptions, TrainOptions

LABELS_SECTION = "From labels to texts, for data that are no rows yet"
"""Title of the section of `RenderOptions` in the help of commands that take any data."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells count."""

_MAX_SENTENCE = 200
"""Characters of a command's sentence in the list of all; what is longer than a line is wrapped."""

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}
_ESCAPES = {code: f"\\x{code:02x}" for code in _CONTROLS}

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Of an error without a file's name, those that only standard output is left for."""

_SECTIONS = (
    ("Inputs and answers", RunOptions),
    ("Generation", GenerationOptions),
    ("Loading the model", LoadOptions, ParallelOptions),
)
_OPTIONS = (
    *(cls for _, *classes in _SECTIONS for cls in classes),
    *(TrainOptions, LossOptions, LoraOptions, ServeOptions, BatchOptions, ReplicaOptions),
)


def names_of(*classes: type) -> tuple[str, ...]:
    """The options that options classes make."""
    return tuple(field.name for cls in classes for field in fields(cls))


class Command(click.Command):
    """A command whose epilog is its worked examples, a line each.

    Attributes:
        sections: titles of the sections of options, and the names of the options shown there; what
            stands in none, or is the command's own, comes first.
    """

    sections: Sequence[tuple[str, Sequence[str]]] = tuple(
        (title, names_of(*classes)) for title, *classes in _SECTIONS
    )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options in sections, each in the first that names it."""
        options = [each for each in self.get_params(ctx) if not isinstance(each, click.Argument)]
        placed = {name for _, names in self.sections for name in names}
        own = [o.name or "" for o in options if o.expose_value or o.name not in placed]
        rows = {o.name or "": row for o in options if (row := o.get_help_record(ctx))}
        for title, names in [("Options", own), *self.sections]:
            if shown := [rows.pop(name) for name in names if name in rows]:
                with formatter.section(title):
                    formatter.write_dl(shown)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped, so that each can be copied."""
        write_examples(self, formatter)


class Program(click.Group):
    """The command `palikit`: every error made on purpose leaves as one sentence and exit code 2.

    Attributes:
        sections: titles of the sections of commands, and the names of those shown there.
        words_for: what is called otherwise here, by the words that others have for it.
    """

    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()
    words_for: Mapping[str, str] = MappingProxyType({})

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 (as click has it)
        **extra: Any,
    ) -> Any:
        """The whole program; what click would tell in three lines is told in one."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)  # noqa: FBT003
        try:
            code = super().main(args, prog_name, complete_var, False, **extra)  # noqa: FBT003
        except click.Abort:  # Ctrl-C while the command line is read
            code = INTERRUPTED
        except click.ClickException as error:
            remark(f"error: {self._sentence(error)}")
            code = error.exit_code
        except OSError as error:
            if error.filename is not None or error.errno not in _NO_ROOM:
                raise
            _let_output_go()
            remark(f"error: cannot write to standard output: {error.strerror}")
            code = 2
        sys.exit(code)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`palikit help data check` is `palikit data check --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named, or what it is called here."""
        if args[0] not in self.commands and (words := self.words_for.get(args[0].casefold())):
            ctx.fail(f"no such command '{args[0]}': {words}")
        return super().resolve_command(ctx, args)

    def _sentence(self, error: click.ClickException) -> str:
        """What is wrong with a command line, with the nearest name where one is mistyped."""
        if isinstance(error, click.NoSuchOption) and error.ctx and error.ctx.command is self:
            known = {
                name for each in self.commands.values() for o in each.params for name in o.opts
            }
            if near := get_close_matches(error.option_name, known, n=1):
                return (
                    f"{error.option_name} stands before the command: options come after it, as in "
                    f"palikit caption photo.jpg {near[0]} ..."
                )
        sentence = " ".join(error.format_message().split()).rstrip(".")
        return f"{sentence[:1].lower()}{sentence[1:]}"

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        # Names of files need not be text, and JSON is UTF-8 whatever the terminal's language.
        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            reconfigure(encoding="utf-8", errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except PaliKitError as error:
            fail(ctx, in_options(str(error)))
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

    def add_section(self, title: str, commands: Sequence[click.Command]) -> None:
        """Commands that stand together in the list of all."""
        self.sections = (*self.sections, (title, tuple(str(each.name) for each in commands)))
        for command in commands:
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, a whole sentence each."""
        width = max(map(len, self.commands))
        for title, names in self.sections:
            with formatter.section(title):
                lines = [self.commands[name].get_short_help_str(_MAX_SENTENCE) for name in names]
                formatter.write_dl(
                    [(f"{name:<{width}}", line) for name, line in zip(names, lines, strict=True)]
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped."""
        write_examples(self, formatter)


def in_options(sentence: str) -> str:
    """An error about a field of an options class, in the names of the command line."""
    names = [field.name for cls in _OPTIONS for field in fields(cls)]
    named = re.compile(rf"\b({'|'.join(names)})(?= (?:is|has) )")
    if not named.match(sentence):
        return sentence
    return named.sub(lambda match: "--" + match[1].replace("_", "-"), sentence)


def _let_output_go() -> None:
    """Drops what waits for standard output: the interpreter would try to write it at its end."""
    with suppress(OSError, ValueError):  # no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    click.echo(f"palikit: {visible(text)}", err=True)


@contextmanager
def warnings_as_remarks() -> Iterator[None]:
    """What is done inside says its warnings as remarks, at its end."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in told:
        remark(str(each.message))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads a stream; one that was closed before the start is None."""
    return stream is not None and stream.isatty()


def visible(text: str) -> str:
    """A text without the control characters that a terminal would obey; lines and tabs stay."""
    return text.translate(_ESCAPES)


def model_name(model: str | None) -> str:
    """The name of the model that --model gives; the built-in one where it is left out.

    Raises:
        InputError: it is empty.
    """
    if model == "":
        raise InputError(
            "--model is empty: give a folder, a file or a name (`palikit models` lists the names)"
        )
    return BUILT_IN if model is None else model


def fail(ctx: click.Context, sentence: str) -> None:
    """Ends the program with a sentence and exit code 2."""
    remark(f"error: {sentence}")
    ctx.exit(2)
