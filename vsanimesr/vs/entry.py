"""What the native shim imports: too little to be left half imported by an interrupt."""

from vsanimesr.interrupts import held


def create(function: str, arguments: int, result: int, core: int, vsapi: int) -> None:
    """Carry out one of the plugin's functions: `plugin.create`, imported on its first use."""
    with held():
        from vsanimesr.vs import plugin
    plugin.create(function, arguments, result, core, vsapi)


def again(error: BaseException) -> type[BaseException]:
    """A class that, when called, gives this very exception: Python's C API raises classes only."""

    def give(_: type) -> BaseException:
        return error

    return type("Again", (BaseException,), {"__new__": give})
