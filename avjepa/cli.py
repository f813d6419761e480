"""The command line: ``avjepa COMMAND [OPTIONS]``."""

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from avjepa import __version__
from avjepa.bundle import TRUSTED
from avjepa.ending import end
from avjepa.errors import RefusedError, UserError, one_line

COMMANDS = {
    "synth": "make a synthetic street world, written as a nuScenes dataset",
    "inspect": "say what a dataset holds and what is broken in it",
    "pack": "write what a training reads into a few large files",
    "pseudo-objects": "find boxes of objects without any label, from LiDAR sweeps, for finetune --pseudo_labels",
    "pretrain": "train a sensor's backbone without labels",
    "finetune": "train heads for detection and other tasks on a pre-trained or a new backbone",
    "evaluate": "score a fine-tuned model: detections with the official nuScenes evaluation",
    "robustness": "score a model with every subset of its sensors, and with degraded ones",
    "release": "release cycles: freeze a backbone, train heads on it release by release, compare, promote",
    "reid": "re-identification after occlusion: mine events, score baselines",
    "view": "draw a sample: bird's-eye view, six cameras, boxes, predictions",
    "label-efficiency": "score against labels: a grid of methods, label amounts and seeds",
    "configs": "list or show the configurations that come with the package",
    "zoo": "list the backbones that come with the package, pre-trained without labels",
    "demo": "a release cycle on a small synthetic world, ending in report.html",
}

RESUMPTION = {
    **dict.fromkeys(
        ("synth", "pack", "robustness", "release", "label-efficiency", "demo"),
        "; the same command goes on where it stopped",
    ),
    **dict.fromkeys(("pretrain", "finetune"), "; --ckpt_path last goes on from the last checkpoint"),
}
"""What an interrupted user is told of the commands that do not have to begin anew."""


def overview() -> str:
    """The text of ``avjepa --help``."""
    lines = ["usage: avjepa COMMAND [OPTIONS] [--debug] [--trust MODULE]", ""]
    lines += [f"  {name:<18}{summary}" for name, summary in COMMANDS.items()]
    lines += ["", "avjepa COMMAND --help lists the options of a command."]
    lines += [
        "--trust MODULE: import it, as it may bring a layout of data; bundles and finished runs may name classes of"
    ]
    lines += ["that module too, beside avjepa's own."]
    return "\n".join(lines)


def underscored(argument: str) -> str:
    """``--on-bad-file=skip`` as ``--on_bad_file=skip``: dashes and underscores in option names are the same."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def without_trusted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments without ``--trust MODULE``, and the modules whose classes a bundle or a run's folder may name."""
    rest, trusted = [], []
    values = iter(arguments)
    for argument in values:
        name, equals, value = argument.partition("=")
        if name != "--trust":
            rest.append(argument)
        elif equals or (value := next(values, "")):
            trusted.append(value)
        else:
            raise UserError("--trust: needs the name of a module whose classes a bundle or a run may name")
    return rest, trusted


def run_command(name: str, arguments: Sequence[str]) -> None:
    """Run one command in this process; errors are raised."""
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(COMMANDS)}"
        raise UserError(f"unknown command '{name}'; {hint}")
    if null := [argument.partition("=")[0] for argument in arguments if "\0" in argument]:
        raise UserError(f"{null[0]!r}: holds a null character, as no file or option does; leave it out")
    module = importlib.import_module(f"avjepa.commands.{name.replace('-', '_')}")
    module.run([underscored(argument) for argument in arguments])


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if arguments[0] == "--version":
        print(f"avjepa {__version__}")
        return 0
    return end(*outcome(arguments, debug))


def outcome(arguments: list[str], debug: bool) -> tuple[int, str]:
    """Run a command line; the exit code, and what is to be said on stderr."""
    try:
        arguments, trusted = without_trusted(arguments)
        if trusted:
            os.environ[TRUSTED] = ",".join(trusted)
        if os.environ.get(TRUSTED):
            from avjepa.bundle.construction import import_trusted  # takes seconds

            if os.getcwd() not in sys.path:  # as "python -m" has it, but behind all that is installed
                sys.path.append(os.getcwd())
            import_trusted()
        run_command(arguments[0], arguments[1:])
    except KeyboardInterrupt:
        return 130, f"avjepa: interrupted{RESUMPTION.get(arguments[0], '')}"
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141, ""
    except RefusedError:
        return 1, ""
    except Exception as error:
        line = one_line(error)
        trace = traceback.format_exc() if debug or line is None else ""
        return 2 if line else 1, f"{trace}avjepa: error: {line or repr(error)}"
    return 0, ""


if __name__ == "__main__":
    sys.exit(main())
