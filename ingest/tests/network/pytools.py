"""Runs a tool of benchlab-pytools 3.4.0, unchanged, over a board that sits at a pseudo-terminal.

Usage: python pytools.py BOARD api PORT WEBSOCKETS
       python pytools.py BOARD mqtt

A pseudo-terminal is no USB device: the list of serial ports is given here, all the rest is the tool's.
"""

import os
import sys
from types import SimpleNamespace

import serial.tools.list_ports

BOARD = sys.argv[1]


def comports(*_args, **_kwargs):
    port = SimpleNamespace(device=BOARD, hwid="USB VID:PID=0483:5740 SER=1 LOCATION=1-1")
    return [port] if os.path.exists(BOARD) else []


serial.tools.list_ports.comports = comports

if sys.argv[2] == "api":
    import uvicorn
    from benchlab.restapi.telemetry_api import app

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), ws=sys.argv[4], log_level="warning")
else:
    from benchlab.mqtt.mqtt_publisher import run_mqtt_mode

    run_mqtt_mode()
