"""Writes the golden bytes of the protocol's tests, by the ctypes structures of benchlab-pycore 0.8.0.

Usage: python golden.py DIRECTORY. Each field holds a value made by a rule that src/serial/protocol/golden.rs follows too.
"""

import ctypes
import pathlib
import sys

from benchlab_pycore.core import structures as s


def fill(struct, counter):
    """Numbers the fields of a structure in the order of the wire, by the rule of `golden.rs`."""
    for name, kind in struct._fields_:
        value = getattr(struct, name)
        if isinstance(value, ctypes.Structure):
            fill(value, counter)
        elif isinstance(value, ctypes.Array):
            fill_array(value, counter)
        elif kind is ctypes.c_char * 32:
            setattr(struct, name, b"golden \xc3\xa9")
        else:
            setattr(struct, name, number(kind, counter))


def fill_array(array, counter):
    for i, value in enumerate(array):
        if isinstance(value, ctypes.Structure):
            fill(value, counter)
        elif isinstance(value, ctypes.Array):
            fill_array(value, counter)
        else:
            array[i] = number(array._type_, counter)


def number(kind, counter):
    counter[0] += 1
    n = counter[0]
    size = ctypes.sizeof(kind)
    mixed = (n * 0x9E3779B97F4A7C15) & (2 ** (8 * size) - 1)
    return kind(mixed).value


def main():
    out = pathlib.Path(sys.argv[1])
    for name in [
        "SensorStructOriginal", "SensorStructBL2Legacy", "SensorStructBL2", "FanConfigStruct", "RGBConfigStruct",
        "CalibrationStruct", "CalibrationStructBL2", "FaultConfigStruct", "DeviceConfigStruct",
        "DeviceConfigStructBL2",
    ]:
        struct = getattr(s, name)()
        fill(struct, [0])
        text = bytes(struct).hex()
        lines = [text[i:i + 96] for i in range(0, len(text), 96)]
        (out / f"{name}.hex").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
