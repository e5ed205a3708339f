"""Run one verb as the command line does, without a process."""

import argparse
import io

from zt_gate.cli.common.console import Console


def call(verb, *arguments) -> tuple[int, str, str]:
    """Return the exit code, and what stands on standard output and standard error."""
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    out, err = io.StringIO(), io.StringIO()
    code = verb.run(parser.parse_args([str(item) for item in arguments]), Console(out, err))
    return code, out.getvalue(), err.getvalue()
