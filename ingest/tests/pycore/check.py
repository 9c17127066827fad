"""Talks to a board with the official client, benchlab-pycore 0.8.0, and prints what it read as one JSON object.

Usage: python check.py PORT. Every setting is written and read back; the caller compares the rest with what the board
says that it is and has sent. Exits with a message when anything is not as written.
"""

import json
import os
import sys
import time

os.environ.setdefault("LOG_LEVEL", "ERROR")

import serial
from benchlab_pycore.core import contract_for, read_device, read_sensors, read_uid, translate_sensor_struct
from benchlab_pycore.core import config_io as io
from benchlab_pycore.core import structures as s
from benchlab_pycore.core.serial_io import _drain_unsolicited_welcome

# Longer than the board's main loop takes, and long enough that two writes do not arrive as one.
TICK_S = 0.25


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def check_name(port):
    name = "pycore \u00e9 " + "x" * 20
    expect("the name's size", len(name.encode()), 30)
    for name in [name, "short"]:
        io.write_name(port, name)
        time.sleep(TICK_S)
        expect("the name", io.read_name(port), name)


def check_fans(port):
    for profile, fan in [(0, 0), (1, 4), (2, 8)]:
        config = io.read_fan_profile(port, profile, fan)
        config.FanMode = s.FanMode.FIXED
        config.FixedDuty = 60 + fan
        config.Temp[0] = -55
        config.Duty[1] = 99
        io.write_fan_profile(port, profile, fan, config)
        time.sleep(TICK_S)
        expect("a fan", bytes(io.read_fan_profile(port, profile, fan)), bytes(config))


def check_rgb(port):
    for profile in range(s.RGB_PROFILE_NUM):
        config = io.read_rgb_profile(port, profile)
        config.Mode, config.Red, config.Speed = s.RGBMode.SINGLE_COLOR, 200 + profile, 3
        io.write_rgb_profile(port, profile, config)
        time.sleep(TICK_S)
        expect("an RGB profile", bytes(io.read_rgb_profile(port, profile)), bytes(config))


def check_calibration(port, product, firmware):
    factory = io.read_calibration(port, product)
    own = io.read_calibration(port, product)
    own.Vin[0].Offset, own.PowerReadingCurrent[-1].GainOffset = -7, 1234
    expect("writing calibration", io.write_calibration(port, own, product_id=product, fw_version=firmware), True)
    time.sleep(TICK_S)
    expect("calibration", bytes(io.read_calibration(port, product)), bytes(own))
    io.store_calibration(port, s.CalSlot.USER, product, firmware)
    time.sleep(TICK_S)
    io.load_calibration(port, s.CalSlot.FACTORY, product, firmware)
    time.sleep(TICK_S)
    expect("the factory's calibration", bytes(io.read_calibration(port, product)), bytes(factory))
    io.load_calibration(port, s.CalSlot.USER, product, firmware)
    time.sleep(TICK_S)
    # The firmware makes the CRC, the first two bytes, when it stores.
    expect("the user's calibration", bytes(io.read_calibration(port, product))[2:], bytes(own)[2:])


def check_faults(port):
    config = io.read_fault(port)
    config.MaxLimit[s.Fault.OCP_CPU1] = 50
    config.ActionEnable[s.FaultAction.LED] = 1 << s.Fault.CURRENT_IMBALANCE_HPWR2
    io.write_fault(port, config)
    time.sleep(TICK_S)
    expect("the fault configuration", bytes(io.read_fault(port)), bytes(config))


def check_stored_config(port):
    io.write_name(port, "stored")
    time.sleep(TICK_S)
    io.store_config(port)
    time.sleep(TICK_S)
    io.write_name(port, "given up")
    time.sleep(TICK_S)
    io.load_config(port)
    time.sleep(TICK_S)
    expect("the stored name", io.read_name(port), "stored")


def check_status(port):
    io.read_name(port)
    expect("status after a read", io.read_status(port), s.CommandStatus.OK)
    io.send_action(port, 99)
    time.sleep(TICK_S)
    expect("status after a wrong action", io.read_status(port), s.CommandStatus.BAD_PARAMETER)
    io.send_action(port, 2)
    time.sleep(TICK_S)
    expect("status after a beep", io.read_status(port), s.CommandStatus.OK)


def main():
    port = serial.Serial(sys.argv[1], 115200, timeout=1, rtscts=False, dsrdtr=False)
    _drain_unsolicited_welcome(port)
    expect("the welcome", io.ping(port), True)
    device = read_device(port)
    product, firmware = device["ProductId"], device["FwVersion"]
    contract = contract_for(product, firmware)
    sensors = read_sensors(port)
    result = {
        "device": device,
        "uid": read_uid(port),
        "name": io.read_name(port),
        "sensors": bytes(sensors).hex(),
        "translated": translate_sensor_struct(sensors),
    }
    check_name(port)
    check_fans(port)
    check_rgb(port)
    check_calibration(port, product, firmware)
    # An opcode whose reply has no size in the contract is not frozen and not usable.
    known = {name for name in contract.opcodes() if contract.response_size(name) is not None}
    if "READ_FAULT" in known and product == s.BENCHLAB_BL2_PRODUCT_ID:
        check_faults(port)
    if "READ_DEFAULT_CONFIG" in known:
        result["default_config"] = bytes(io.read_default_config(port, product)).hex()
    if "STATUS" in known:
        check_status(port)
        check_stored_config(port)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
