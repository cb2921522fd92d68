"""The cases of the Autobahn test suite, loaded as they are, and made to run where there is no Python 2.

Its cases are classes that talk to a protocol object. They are loaded from its source with a few substitutions; the rest
of it (drivers, reports) is not used. A `str` of Python 2 is bytes, which a `str` of Latin-1 characters stands in for
here: `suite.py` makes bytes of those on their way out, and the other way round. Cases with test data from files work on
real bytes.
"""

import binascii
import builtins
import re
import sys
import types
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path

from autobahn.websocket import utf8validator

SUBSTITUTIONS = [
    (r"^(\s*)print (.*)$", r"\1print(\2)"),
    # Classes had no common root.
    (r"\(object, Case, \)", "(Case, )"),
    # Division of whole numbers.
    (r"len\(self\.payload\) / ", "len(self.payload) // "),
    # Named otherwise since.
    (r"\brequestNoContextTakeover\b", "request_no_context_takeover"),
    (r"\brequestMaxWindowBits\b", "request_max_window_bits"),
    (r"\bacceptNoContextTakeover\b", "accept_no_context_takeover"),
    (r"\bacceptMaxWindowBits\b", "accept_max_window_bits"),
    # Is not among the cases that are run.
    (r"^from case9_9_1 import \*$", ""),
    (r"from autobahn\.websocket\.utf8validator import", "from cases import"),
]

# Work on bytes: what they hash and compare.
ON_BYTES = "case12_x_x"


class Loader(SourceFileLoader):
    def source_to_code(self, data, path, *, _optimize=-1):
        text = data.decode("latin-1").replace("\r\n", "\n").expandtabs(8)
        for old, new in SUBSTITUTIONS:
            text = re.sub(old, new, text, flags=re.MULTILINE)
        return compile(text, path, "exec", dont_inherit=True, optimize=_optimize)

    def set_data(self, path, data, *, _mode=0o666):
        """No compiled files beside the sources."""


class Utf8Validator(utf8validator.Utf8Validator):
    """As it is, for bytes that are characters."""

    def validate(self, data):
        return super().validate(to_bytes(data))


class Binascii(types.ModuleType):
    """`binascii` for bytes that are characters."""

    @staticmethod
    def b2a_hex(data):
        return binascii.hexlify(to_bytes(data)).decode("ascii")

    hexlify = b2a_hex


def to_bytes(data):
    return data.encode("latin-1") if isinstance(data, str) else bytes(data)


def load(suite: Path):
    """The package of cases in the unpacked `suite`: `Cases`, each with its name, and the base class `Case`."""
    folder = suite / "autobahntestsuite" / "case"

    def hook(path):
        if Path(path) != folder:
            raise ImportError(path)
        return FileFinder(path, (Loader, [".py"]))

    builtins.xrange, builtins.unichr = range, chr
    resources = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda package, path: str(suite / package / path)
    ours = {"binascii": Binascii("binascii"), "pkg_resources": resources}
    before = {name: sys.modules.get(name) for name in ours}
    sys.modules.update(ours)
    sys.path_hooks.insert(0, hook)
    sys.path.insert(0, str(folder))
    try:
        # Its modules import each other without saying that they are of one package.
        loader = Loader("holm_autobahn_cases", str(folder / "__init__.py"))
        package = types.ModuleType(loader.name)
        loader.exec_module(package)
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
    from case import Case  # noqa: PLC0415: on the path by now

    # It compared pickles, which differ for equal values in Python 3.
    Case.compare = lambda self, one, other: one == other
    named = {}
    for case in package.Cases:
        number = case.__name__.removeprefix("Case").replace("_", ".")
        case.is_on_bytes = getattr(case.onMessage, "__module__", "") == ON_BYTES
        named[number] = case
    return named
