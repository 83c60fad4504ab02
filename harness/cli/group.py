"""The commands: `bptt sweep`, `report`, `compare`, `export`, `list`, `show` and others."""

from __future__ import annotations

import importlib

import click

from harness.cli import exits
from harness.registry import meant

COMMANDS = {  # name -> what its line in the help says; a command is imported when it is called
    "sweep": "Run a preset or a sweep file, and write its report.",
    "report": "Write the report of one or more results folders.",
    "compare": "Compare two results folders, and say whether the new one is worse.",
    "export": "Write every record as one row of a table.",
    "list": "List the plugins: gradient methods, clips, cells and tasks.",
    "show": "Show what became of trials, and what to do about it.",
    "doctor": "Tell what on this machine or cluster will disturb timings.",
    "check": "Try whether a plugin keeps its promises.",
    "fetch": "Download and verify data packs.",
    "new": "Start a plugin of your own, or a job for Slurm or KubeRay, from a template.",
}


class Commands(click.Group):
    """Imports a command only when it is called, and turns known errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"harness.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first argument; a suggestion, if it is none."""
        mistyped = args[0] not in COMMANDS and not args[0].startswith("-")
        if mistyped and not ctx.resilient_parsing:  # a shell that completes wants no error
            known = ", ".join(COMMANDS)
            ctx.fail(
                f"there is no command {args[0]!r}{meant(args[0], COMMANDS)} There are: {known}"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a mistake of the user's is said in a sentence, never a traceback."""
        try:
            return super().invoke(ctx)
        except exits.EXPECTED as error:
            click.echo(str(error), err=True)
            ctx.exit(exits.code_of(error))
        except OSError as error:
            if not (said := exits.of_a_file(error)):
                raise
            click.echo(said, err=True)
            ctx.exit(exits.USAGE)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(exits.INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bptt-bench")
def main() -> None:
    """Compare ways to train recurrent networks through time.

    Exit codes: 0 fine, 1 a bug of ours, 2 usage or configuration, 3 some trials failed, 4 a
    regression, 5 a gradient that disagrees, 6 no such cluster or device, 130 interrupted.
    """
