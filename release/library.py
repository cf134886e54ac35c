"""What a shared library says of itself, whatever platform it is for; read by LIEF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import lief


@dataclass(frozen=True, kw_only=True)
class Library:
    """The facts of an ELF, PE or Mach-O library."""

    machine: str
    """`x86_64` or `aarch64`; otherwise LIEF's name."""
    name: str
    """What it calls itself to those that link it; empty where it does not."""
    exports: frozenset[str]
    """Functions that others can call."""
    needed: frozenset[str]
    """Libraries that it wants loaded."""
    glibc: tuple[int, ...]
    """The newest version of glibc's symbols that it uses; empty: none."""
    signed: bool
    """Whether it carries a signature of code, as macOS wants on its own processors."""


_MACHINES = {
    "X86_64": "x86_64",
    "AMD64": "x86_64",
    "AARCH64": "aarch64",
    "ARM64": "aarch64",
}


def read(data: bytes) -> Library:
    """Read a library.

    Args:
        data: The file's content.

    Raises:
        ValueError: It is no library for ELF, Windows or macOS.
    """
    lief.logging.disable()  # it would print what it stumbles over
    found: Any = lief.parse(data)
    signed = False
    if isinstance(found, lief.ELF.Binary):
        elf: Any = found
        exports = {symbol.name for symbol in elf.exported_symbols}
        machine, name, needed = elf.header.machine_type, _soname(elf), set(elf.libraries)
        used = [v.name for r in elf.symbols_version_requirement for v in r.get_auxiliary_symbols()]
        glibc = max((_version(v) for v in used if v.startswith("GLIBC_")), default=())
    elif isinstance(found, lief.PE.Binary):
        pe: Any = found
        table = pe.get_export()
        exports = {entry.name for entry in table.entries}
        machine, name, needed, glibc = pe.header.machine, table.name, set(pe.libraries), ()
    elif isinstance(found, lief.MachO.Binary):
        mach: Any = found
        itself = lief.MachO.LoadCommand.TYPE.ID_DYLIB
        names = [c.name for c in mach.commands if c.command == itself]
        exports = {symbol.name.removeprefix("_") for symbol in mach.exported_symbols}
        exports -= {"_mh_dylib_header", "__dso_handle"}  # the linker's own
        machine, name = mach.header.cpu_type, "".join(names)
        needed, glibc = {library.name for library in mach.libraries} - {name}, ()
        signed = bool(mach.has_code_signature)
    else:
        raise ValueError("no library for Linux, Windows or macOS")
    kind = str(machine).rpartition(".")[2].upper()
    return Library(
        machine=_MACHINES.get(kind, kind),
        name=name,
        exports=frozenset(cast("set[str]", exports)),
        needed=frozenset(cast("set[str]", needed)),
        glibc=glibc,
        signed=signed,
    )


def _soname(elf: Any) -> str:  # noqa: ANN401 (LIEF has no types)
    tag = lief.ELF.DynamicEntry.TAG.SONAME
    return elf.get(tag).name if elf.has(tag) else ""


def _version(text: str) -> tuple[int, ...]:
    """`GLIBC_2.17` as (2, 17)."""
    return tuple(int(part) for part in text.removeprefix("GLIBC_").split(".") if part.isdigit())
