# SPDX-License-Identifier: ISC
"""Runs a real Sealpost against real peers. One file of test/scenario is one group of scenarios.

Every process is started on ports that were free a moment ago, in a folder of its own below /tmp, and
is stopped by its pid. A scenario fails if a peer is not installed, if a sanitizer has reported
anything, or if a process is left over.
"""
from .acted import Acted, Sink
from .case import Scenario, main, wait_until
from .certificates import Authority
from .message import letter, parse_bounce, unique_id
from .ports import free_ports
from .server import Sealpost
from .wire import Wire

__all__ = ["Acted", "Authority", "Scenario", "Sealpost", "Sink", "Wire", "free_ports", "letter", "main", "parse_bounce",
           "unique_id", "wait_until"]
