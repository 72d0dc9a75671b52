"""Many connections that wait, for the peers that listen on a port."""

import socket

from harness import within

from .measures import memory_kib, waiting_cpu


def hold_connections(pid, port, count, ask, asked):
    """Opens them, lets each `ask(socket, number)`, and `asked(socket)` see that it was heard; what they cost the
    process."""
    before = memory_kib(pid)
    found = []
    try:
        for number in range(count):
            wire = socket.create_connection(("127.0.0.1", port), timeout=within(60))
            found.append(wire)
            ask(wire, number)
            asked(wire)
        more = memory_kib(pid) - before
        spent = waiting_cpu(pid)
    finally:
        for wire in found:
            wire.close()
    return {"memory": more / count, "cpu": spent}
