"""Looks through the pickle of a torch file before anything runs it.

A pickle is a program for a machine with a stack. Programs that run no code of others may still
crash, hang or fill the process that loads them: a key of 150,000 nested tuples, whose hash recurses
in C; forty tuples that each hold the one before twice; an index into the memo of 2^28. So the
program is first followed here, with kinds in place of values, and refused where it leaves what
torch.save writes.
"""

import io
import pickletools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from vsanimesr.errors import WeightsError, brief

MAX_BYTES, MAX_STEPS = 2**20, 100_000
"""The pickle of a released file has at most 9 kB and 2,160 steps."""
MAX_VALUES, MAX_DEPTH = 1_000_000, 32
"""Of what a pickle makes, counting a value as often as something holds it."""

ORDERED, REBUILD = "collections.OrderedDict", "torch._utils._rebuild_tensor_v2"
OWN = (ORDERED, REBUILD)
OLD = (
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch.nn.parameter.Parameter",
)
"""What older torch, or one that saved a parameter, calls besides."""
PROTOCOL = 2  # of torch.save

_KINDS = {
    "NONE": "none",
    "NEWTRUE": "bool",
    "NEWFALSE": "bool",
    "BININT": "int",
    "BININT1": "int",
    "BININT2": "int",
    "LONG1": "int",
    "BINFLOAT": "float",
    "EMPTY_TUPLE": "tuple",
}
_NEW = {"BINUNICODE": "text", "EMPTY_LIST": "list", "EMPTY_DICT": "dict"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OTHERS = (
    *("PROTO", "STOP", "MARK", "TUPLE", "SETITEM", "SETITEMS", "APPEND", "APPENDS", "BINPERSID"),
    *("GLOBAL", "REDUCE", "BUILD", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
)
_OPCODES = {
    opcode.code.encode("latin-1"): opcode
    for opcode in pickletools.opcodes
    if opcode.name in (*_KINDS, *_NEW, *_TUPLES, *_OTHERS)
}


def look(
    pickled: bytes,
    names: Collection[str],
    keys: Collection[str] = ("text",),
    most: int = MAX_STEPS,
    count: int = 1,
) -> None:
    """Check that a pickle can be loaded without harm; takes less than a second and 100 MB.

    Args:
        pickled: The whole pickle, of protocol 2; or as many as `count`, one after the other.
        names: Types of storage that it may name, as `module.name`, and of `OLD`.
        keys: Kinds of key that its tables may have, of `text` and `int`.
        most: How many steps it may have; a million take two seconds.
        count: How many pickles; what follows them is not looked at.

    Raises:
        WeightsError: It does what torch.save never does; says what.
        ValueError: It is damaged.
    """
    if len(pickled) > MAX_BYTES:
        raise WeightsError(
            f"refused: a pickle of {len(pickled):,} bytes, wanted at most {MAX_BYTES:,}"
        )
    file = io.BytesIO(pickled)
    for _ in range(count):
        machine = _Machine(frozenset({*OWN, *names}), frozenset(keys))
        for steps, (name, argument) in enumerate(_steps(file)):
            if steps == most:
                raise WeightsError(f"refused: its pickle has more than {most:,} steps")
            machine.step(name, argument)


def _steps(file: BinaryIO) -> Iterator[tuple[str, object]]:
    """Name and argument of each opcode. An argument is read only of those that are allowed."""
    name = ""
    while name != "STOP":
        code = file.read(1)
        if not code:
            raise ValueError("the pickle is cut short")
        if code not in _OPCODES:
            raise WeightsError(f"refused: its pickle has opcode {code!r}, which torch never writes")
        name, argument = _OPCODES[code].name, _OPCODES[code].arg
        yield name, argument.reader(file) if argument else None


@dataclass(slots=True)
class _Value:
    """What stands for a value: its kind, and how much is in it."""

    kind: str
    text: str = ""
    """Of a text; the name of a global."""
    parts: list["_Value"] = field(default_factory=list["_Value"])
    count: int = 1
    depth: int = 1
    held: bool = False
    """Whether it may be part of something, and must not grow any more."""

    def kinds(self) -> list[str]:
        return [part.kind for part in self.parts]

    def add(self, parts: list["_Value"]) -> None:
        if self.held:
            raise ValueError("a value grows after others hold it")
        self.parts += parts
        self.count += sum(part.count for part in parts)
        self.depth = max([self.depth, *(part.depth + 1 for part in parts)])
        if self.count > MAX_VALUES or self.depth > MAX_DEPTH:
            raise WeightsError(
                f"refused: its pickle makes more than {MAX_VALUES:,} values, or nests them more "
                f"than {MAX_DEPTH} deep"
            )


_SINGLE = {opcode: _Value(kind) for opcode, kind in _KINDS.items()}
"""They never grow, so that one does for all."""


class _Machine:
    """The stack and the memo of an unpickler, with kinds in place of values."""

    def __init__(self, names: frozenset[str], keys: frozenset[str]) -> None:
        self._names, self._keys = names, keys
        self._stack: list[_Value] = []
        self._marks: list[int] = []
        self._memo: dict[int, _Value] = {}

    def step(self, name: str, argument: object) -> None:
        if name in _SINGLE:
            self._stack.append(_SINGLE[name])
            return
        text = argument if isinstance(argument, str) else ""
        number = argument if isinstance(argument, int) else 0
        if name in _NEW:
            self._stack.append(_Value(_NEW[name], text))
        elif name in _TUPLES or name == "TUPLE":
            parts = self._pop(_TUPLES[name]) if name in _TUPLES else self._to_mark()
            self._push(_Value("tuple"), parts)
        elif name in ("SETITEM", "SETITEMS"):
            self._set(self._pop(2) if name == "SETITEM" else self._to_mark())
        elif name in ("APPEND", "APPENDS"):
            parts = self._pop(1) if name == "APPEND" else self._to_mark()
            self._top("list").add(parts)
        else:
            match name:
                case "PROTO":
                    if number != PROTOCOL:
                        raise WeightsError(
                            f"refused: a pickle of protocol {number}, wanted {PROTOCOL}"
                        )
                case "MARK":
                    self._marks.append(len(self._stack))
                case "BINPUT" | "LONG_BINPUT":
                    if number > MAX_STEPS:
                        raise WeightsError(f"refused: its pickle has an index of {number}")
                    self._memo[number] = self._top()
                case "BINGET" | "LONG_BINGET":
                    if number not in self._memo:
                        raise ValueError(f"nothing is kept as {number}")
                    self._memo[number].held = True
                    self._push(self._memo[number])
                case "GLOBAL":
                    self._name(text.replace(" ", "."))
                case "BINPERSID":
                    self._storage(*self._pop(1))
                case "REDUCE":
                    self._call(*self._pop(2))
                case "BUILD":
                    self._attributes(*self._pop(1))
                case _:  # STOP
                    if len(self._stack) != 1 or self._marks:
                        raise ValueError("the pickle leaves more or less than one value")

    def _push(self, value: _Value, parts: list[_Value] | None = None) -> None:
        if parts:
            value.add(parts)
        self._stack.append(value)

    def _pop(self, count: int) -> list[_Value]:
        start = len(self._stack) - count
        if start < (self._marks[-1] if self._marks else 0):
            raise ValueError("the pickle takes what is not there")
        popped = self._stack[start:]
        del self._stack[start:]
        return popped

    def _to_mark(self) -> list[_Value]:
        if not self._marks:
            raise ValueError("the pickle has no mark where it needs one")
        start = self._marks.pop()
        popped = self._stack[start:]
        del self._stack[start:]
        return popped

    def _top(self, *kinds: str) -> _Value:
        (top,) = self._pop(1)
        if kinds and top.kind not in kinds:
            raise ValueError(f"a {top.kind} where a {kinds[0]} is needed")
        self._stack.append(top)
        return top

    def _set(self, parts: list[_Value]) -> None:
        for key in parts[::2]:
            if key.kind not in self._keys:
                raise WeightsError(f"refused: its pickle has a key of kind {key.kind}")
        if len(parts) % 2:
            raise ValueError("a key without a value")
        self._top("dict", "ordered").add(parts)

    def _name(self, name: str) -> None:
        if name not in self._names:
            raise WeightsError(
                f"refused: its pickle asks for {brief(name)}, which weights do not need and which "
                "may run code; save the bare state dict, or use .safetensors"
            )
        self._push(_Value("name", name))

    def _storage(self, pid: _Value) -> None:
        # "storage", type, key, device, length (torch/serialization.py); once also "is part of"
        wanted = ["text", "name", "text", "text", "int"]
        if pid.kinds() not in (wanted, [*wanted, "none"]) or pid.parts[1].text in (*OWN, *OLD):
            raise ValueError("a storage that is not described as torch does")
        self._push(_Value("storage"))

    def _call(self, function: _Value, arguments: _Value) -> None:
        if arguments.kind != "tuple" or function.kind != "name":
            raise ValueError(f"a {function.kind} is called")
        if function.text == ORDERED and not arguments.parts:
            self._push(_Value("ordered"))
        elif (function.text == REBUILD and _describes_a_tensor(arguments)) or (
            function.text in OLD and _is_of_a_tensor(arguments, function.text)
        ):
            self._push(_Value("tensor"))
        else:
            raise ValueError(f"{function.text} is called as torch never does")

    def _attributes(self, state: _Value) -> None:
        # `_metadata` of state_dict(), the one attribute that torch gives a table
        names = [key.text for key in state.parts[::2]]
        if state.kind != "dict" or names != ["_metadata"]:
            raise WeightsError("refused: its pickle sets attributes other than _metadata")
        self._top("ordered").add([state])


def _describes_a_tensor(arguments: _Value) -> bool:
    """Storage, offset, shape and strides, and what is of autograd (torch/_utils.py)."""
    if arguments.kinds()[:4] != ["storage", "int", "tuple", "tuple"]:
        return False
    shape, strides = arguments.parts[2].kinds(), arguments.parts[3].kinds()
    return len(shape) == len(strides) and {*shape, *strides} <= {"int"}


def _is_of_a_tensor(arguments: _Value, function: str) -> bool:
    """A tensor, whether it has a gradient, and hooks, of which a file has none."""
    if function == OLD[0]:
        return _describes_a_tensor(arguments)
    hooks = arguments.parts[2:]
    return (
        arguments.kinds()[:2] == ["tensor", "bool"]
        and len(hooks) < 2
        and all(part.kind == "ordered" and not part.parts for part in hooks)
    )
