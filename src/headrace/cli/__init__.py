"""The command line. Commands are imported when they run, so that ``headrace --help`` is quick.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage or input; 3 not found; 4 the store is not
available; 75 the worker must be started anew; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from cyclopts import App, CycloptsError, UnknownCommandError

from headrace.cli.exits import Exit, exit_of, leaf, one_line, shown

COMMANDS: Final = {
    "serve": ("headrace.cli.serve:serve", "Run the HTTP service, a worker and upkeep in one process."),
    "worker": ("headrace.cli.worker:worker", "Run a worker, or several as child processes."),
    "enqueue": ("headrace.cli.enqueue:enqueue", "Enqueue a job."),
    "jobs": ("headrace.cli.jobs:jobs", "List jobs, newest first."),
    "job": ("headrace.cli.jobs:job", "Show a job, send it a signal, or replay it."),
    "explain": ("headrace.cli.explain:explain", "Say why a job has not run, and what to do about it."),
    "flow": ("headrace.cli.flow:flow", "Draw a job with the jobs that wait for each other around it."),
    "cancel": ("headrace.cli.jobs:cancel", "Cancel waiting jobs, ask running ones to stop."),
    "retry": ("headrace.cli.jobs:retry", "Run failed or cancelled jobs again."),
    "queues": ("headrace.cli.queues:queues", "List queues; pause, resume or bound them."),
    "shares": ("headrace.cli.shares:shares", "Show or change the weights of a fair queue."),
    "breakers": ("headrace.cli.breakers:breakers", "List circuit breakers; open or close them."),
    "loops": ("headrace.cli.loops:loops", "List loops; stop, start or ping them."),
    "events": ("headrace.cli.events:events", "Show what happened to jobs, or follow along."),
    "audit": ("headrace.cli.audit:audit", "List who did what, newest first."),
    "migrate": ("headrace.cli.migrate:migrate", "Make the store's tables, or bring them up to date."),
    "move": ("headrace.cli.move:move", "Move all jobs and settings to another store, and compare both."),
    "import-bullmq": ("headrace.cli.import_bullmq:import_bullmq", "Take in the waiting jobs of BullMQ."),
    "doctor": ("headrace.cli.doctor:doctor", "Show settings, the store's health and what needs looking at."),
    "demo": ("headrace.cli.demo:demo", "Run jobs through every part of the system and explain them."),
}
FILE_COMMANDS: Final = {
    "put": ("headrace.cli.files:put", "Store a file and print its id."),
    "get": ("headrace.cli.files:get", "Write a stored file out."),
    "list": ("headrace.cli.files:list_files", "List stored files, newest first."),
}
SCHEDULE_COMMANDS: Final = {
    "list": ("headrace.cli.schedules:list_schedules", "List schedules with their next fire."),
    "show": ("headrace.cli.schedules:show", "Show the next five fires of a schedule."),
    "add": ("headrace.cli.schedules:add", "Make a schedule, or change one."),
    "pause": ("headrace.cli.schedules:pause", "Let nothing fire until it is resumed."),
    "resume": ("headrace.cli.schedules:resume", "Let it fire again, from its next instant on."),
    "trigger": ("headrace.cli.schedules:trigger", "Make its job now; the next fire stays."),
    "remove": ("headrace.cli.schedules:remove", "Remove a schedule."),
}
BATCH_COMMANDS: Final = {
    "list": ("headrace.cli.batches:list_batches", "List batches with their numbers, newest first."),
    "show": ("headrace.cli.batches:show", "Show a batch and how far it is."),
    "cancel": ("headrace.cli.batches:cancel", "Cancel waiting members, ask running ones to stop."),
    "retry": ("headrace.cli.batches:retry", "Run all failed members again."),
}
LIMIT_COMMANDS: Final = {
    "list": ("headrace.cli.limits:list_limits", "List limits of programs and operators."),
    "show": ("headrace.cli.limits:show", "Show a limit and who holds and awaits it."),
    "set": ("headrace.cli.limits:set_limit", "Set how many jobs run at once, how often they start."),
    "reset": ("headrace.cli.limits:reset", "Let the code's own limit count again."),
}
DEAD_COMMANDS: Final = {
    "list": ("headrace.cli.dead:list_dead", "List dead letters, the latest death first."),
    "show": ("headrace.cli.dead:show", "Show a failed job with its errors."),
    "redrive": ("headrace.cli.redrive:redrive", "Run dead letters again."),
    "discard": ("headrace.cli.redrive:discard", "Give dead letters up."),
    "queues": ("headrace.cli.dead:queues", "List or change the dead-letter queues of queues."),
}
ALERT_COMMANDS: Final = {
    "list": ("headrace.cli.alerts:list_alerts", "List alert rules, and what they tell of."),
    "add": ("headrace.cli.alerts:add", "Make an alert rule, or change one."),
    "silence": ("headrace.cli.alerts:silence", "Have a rule tell nothing for a while."),
    "test": ("headrace.cli.alerts:send_test", "Send a test alert to the targets of a rule."),
    "remove": ("headrace.cli.alerts:remove", "Remove an alert rule."),
}
EPILOGUE: Final = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage or input, 3 not found, 4 the store is not "
    "available, 75 a handler could not be stopped: start the worker anew, 130 interrupted.\n\n"
    "Environment: HEADRACE_URL, HEADRACE_NAMESPACE, HEADRACE_FILES and more, see docs/guides/cli.md; "
    "`headrace doctor` shows what is in effect."
)


def make_app() -> App:
    """The commands, none of them imported yet."""
    app = App(
        name="headrace",
        help="Background jobs: serve, work, enqueue and look after them.",
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        version=lambda: version("headrace"),
    )
    for place, (name, (target, help_text)) in enumerate(COMMANDS.items()):
        app.command(target, name=name, help=help_text, sort_key=place)
    files = App(name="files", help="Store, fetch and list files.", sort_key=len(COMMANDS))
    for name, (target, help_text) in FILE_COMMANDS.items():
        files.command(target, name=name, help=help_text)
    app.command(files)
    schedules = App(
        name="schedules", help="List, add, pause, trigger and remove schedules.", sort_key=len(COMMANDS) + 1
    )
    for name, (target, help_text) in SCHEDULE_COMMANDS.items():
        schedules.command(target, name=name, help=help_text)
    app.command(schedules)
    batches = App(
        name="batches", help="List, show, cancel and retry batches of jobs.", sort_key=len(COMMANDS) + 2
    )
    for name, (target, help_text) in BATCH_COMMANDS.items():
        batches.command(target, name=name, help=help_text)
    app.command(batches)
    limits = App(name="limits", help="List, show, set and reset limits.", sort_key=len(COMMANDS) + 3)
    for name, (target, help_text) in LIMIT_COMMANDS.items():
        limits.command(target, name=name, help=help_text)
    app.command(limits)
    dead = App(name="dead", help="List, show, redrive and discard failed jobs.", sort_key=len(COMMANDS) + 4)
    for name, (target, help_text) in DEAD_COMMANDS.items():
        dead.command(target, name=name, help=help_text)
    app.command(dead)
    alerts = App(name="alerts", help="List, add, silence and test alert rules.", sort_key=len(COMMANDS) + 5)
    for name, (target, help_text) in ALERT_COMMANDS.items():
        alerts.command(target, name=name, help=help_text)
    app.command(alerts)
    app.register_install_completion_command(  # pyright: ignore[reportUnknownMemberType]
        help="Install shell completion (bash, zsh, fish)."
    )
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code. Errors are one line on stderr."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us has enough; Python must not find the pipe broken again at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    app = make_app()
    try:
        code: object = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except UnknownCommandError as error:
        # its own text would import every command, to see which of them is the nearest
        complain(f"there is no command {shown(' '.join(error.unused_tokens or ()))!r}; try headrace --help")
        return Exit.USAGE
    except CycloptsError as error:
        complain(shown(f"{error} Try headrace --help."))
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.DONE
    except Exception as error:  # boundary: whatever can be said in one line is
        reason = leaf(error)
        known = exit_of(reason)
        if known is None:
            raise
        complain(one_line(reason))
        return known
    return code if isinstance(code, int) else Exit.DONE


def complain(message: str) -> None:
    """Says on stderr what is wrong."""
    print(f"headrace: {message}", file=sys.stderr)  # noqa: T201 - the command line's voice


__all__ = [
    "ALERT_COMMANDS",
    "BATCH_COMMANDS",
    "COMMANDS",
    "DEAD_COMMANDS",
    "FILE_COMMANDS",
    "LIMIT_COMMANDS",
    "SCHEDULE_COMMANDS",
    "complain",
    "main",
    "make_app",
    "run",
]
