"""Commands of the shell as functions of their words, for the tests of it."""

import io

from caching.cli import main


def cli(*argv):
    """Exit code, output and errors of one command."""
    out, err = io.StringIO(), io.StringIO()
    code = main([str(a) for a in argv], out=out, err=err)
    return code, out.getvalue(), err.getvalue()


def done(*argv):
    """The output of a command that must succeed."""
    code, out, err = cli(*argv)
    assert code == 0, err
    return out
