"""A bad wire: passes packets between the interfaces "left" and "right" of its network
namespace, late, twice, in another order, or not at all.

    wire.py DELAY_MS JITTER_MS LOSS% DUPLICATE% REORDER%

The means are those of tc's netem, for kernels without it: each packet waits for the
delay, plus or minus a random part of the jitter; of REORDER percent it does not wait.
What happens to the n-th packet of a direction is the same in every run.

Only IP is treated so.  The search for neighbours, which is no part of what is tested,
would cost a second for each loss."""

import heapq
import random
import select
import socket
import sys
import time

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
VNET_HDR_SIZE = 10
ETHERTYPE_AT = VNET_HDR_SIZE + 12
IPV6_NEXT_AT = VNET_HDR_SIZE + 14 + 6
ICMPV6 = 58
FRAME_MAX = 1 << 17
SEED = 1


class Direction:
    """Packets from one interface to another, and the dice that are thrown for them."""

    def __init__(self, source, target, seed):
        self.source, self.target = source, target
        self.random = random.Random(seed)

    def hits(self, percent):
        return self.random.random() * 100 < percent


def open_interface(name):
    """A raw socket whose packets begin with a header that says which checksum the kernel
    has left for later: a veth pair never computes them, and so neither need we."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.bind((name, ETH_P_ALL))
    s.setblocking(False)
    return s


def is_treated(frame):
    ethertype = int.from_bytes(frame[ETHERTYPE_AT:ETHERTYPE_AT + 2], "big")
    return ethertype == ETH_P_IP or (ethertype == ETH_P_IPV6 and frame[IPV6_NEXT_AT] != ICMPV6)


def delays(direction, delay_ms, jitter_ms, loss, duplicate, reorder):
    """In seconds, one for each copy of the next packet.  The dice are thrown in any case,
    so that they are the same for the packets after it."""
    copies = 2 if direction.hits(duplicate) else 1
    copies = 0 if direction.hits(loss) else copies
    at_once = direction.hits(reorder)
    waits = [delay_ms + direction.random.uniform(-jitter_ms, jitter_ms) for _ in range(2)]
    return [0 if at_once else max(0, wait) / 1000 for wait in waits[:copies]]


def take(direction, queue, values):
    """All packets that have come in."""
    while True:
        try:
            frame = direction.source.recv(FRAME_MAX)
        except BlockingIOError:
            return
        except OSError:  # the interface is down; what comes later is another matter
            return
        now = time.monotonic()
        for wait in delays(direction, *values) if is_treated(frame) else [0]:
            heapq.heappush(queue, (now + wait, take.count, direction.target, frame))
            take.count += 1


take.count = 0  # keeps packets that are due at the same time in order


def pass_on(queue):
    """Sends what is due; the seconds until the next, or None."""
    while queue and queue[0][0] <= time.monotonic():
        _, _, target, frame = heapq.heappop(queue)
        try:
            target.send(frame)
        except OSError:  # a full queue or a link that is down loses packets, as in life
            pass
    return max(0, queue[0][0] - time.monotonic()) if queue else None


def main():
    values = tuple(map(float, sys.argv[1:]))
    left, right = open_interface("left"), open_interface("right")
    directions = {left: Direction(left, right, SEED), right: Direction(right, left, SEED + 1)}
    queue = []
    print("ready", flush=True)
    while True:
        timeout = pass_on(queue)
        for ready in select.select(directions, [], [], timeout)[0]:
            take(directions[ready], queue, values)


if __name__ == "__main__":
    main()
