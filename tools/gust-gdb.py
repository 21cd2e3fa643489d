"""Goroutines in gdb, live and in a core file:

    (gdb) source tools/gust-gdb.py
    (gdb) info goroutines
    (gdb) goroutine 17 bt
    (gdb) goroutine all bt

Everything is found through the table gust__debug_layout (core/layout.c), so debug
information is not needed, but gives file names and lines.  A goroutine that does
not run is unwound along the frame records that gust's code and any code compiled
with -fno-omit-frame-pointer keeps; one that runs is its thread's backtrace.
"""
import struct

import gdb

VERSION = 1
# The members of struct gust__debug_layout, each eight bytes.
MEMBERS = """version slabs slab_next slab_gs slab_count
    g_size g_id g_state g_wait g_system g_name g_fn g_spawn_pc g_sp g_stack_low g_stack_size g_since
    frame_fp frame_pc allm m_link m_curg m_tid state_names wait_names clock state_dead""".split()
FRAMES_MAX = 100
OWN_PREFIXES = ("gust_",)
# By which a goroutine leaves its stack (core/sched.c).
OWN_STATICS = ("switch_to", "switch_directly", "switch_away")


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return struct.unpack("=Q", read(address, 8))[0]


def half(address):
    return struct.unpack("=I", read(address, 4))[0]


def string(address):
    """At most 80 bytes of it; "" for NULL and for what cannot be read."""
    text = b""
    try:
        while address and len(text) < 80:
            byte = read(address + len(text), 1)
            if byte == b"\0":
                break
            text += byte
    except gdb.MemoryError:
        pass
    return text.decode("utf-8", "replace")


class Layout:
    def __init__(self):
        try:
            address = int(gdb.parse_and_eval("(unsigned long)&gust__debug_layout"))
        except gdb.error as error:
            raise gdb.GdbError("this program has no gust in it, or is not started") from error
        values = struct.unpack(f"={len(MEMBERS)}Q", read(address, 8 * len(MEMBERS)))
        self.__dict__.update(zip(MEMBERS, values))
        if self.version != VERSION:
            raise gdb.GdbError(f"this script knows layout {VERSION}, the program has {self.version}")

    def name_in(self, table, index):
        return string(word(table + 8 * index))


class Goroutine:
    def __init__(self, layout, address):
        self.layout = layout
        self.address = address
        self.id = word(address + layout.g_id)
        self.state = half(address + layout.g_state)
        self.sp = word(address + layout.g_sp)
        self.low = word(address + layout.g_stack_low)
        self.high = self.low + word(address + layout.g_stack_size)
        self.name = string(word(address + layout.g_name))

    def is_shown(self):
        return (self.id != 0 and self.state != self.layout.state_dead
                and read(self.address + self.layout.g_system, 1) == b"\0")

    def words(self):
        """Its state, or what it waits for and for how long."""
        state = self.layout.name_in(self.layout.state_names, self.state)
        if state != "parked":
            return state
        wait = self.layout.name_in(self.layout.wait_names, half(self.address + self.layout.g_wait))
        ns = word(self.layout.clock) - word(self.address + self.layout.g_since)
        return f"{wait}, {max(ns, 0) / 1e9:.1f} s"

    def title(self):
        name = f' ("{self.name}")' if self.name else ""
        return f"goroutine {self.id}{name} [{self.words()}]"

    def is_in(self, address):
        return self.low <= address <= self.high - 16 and address % 8 == 0

    def pcs(self):
        """Of one that is off its stack: pcs along its frame records, innermost first."""
        if not self.is_in(self.sp):
            return
        pc = word(self.sp + self.layout.frame_pc)
        if pc == 0:  # its stack is not in the core file
            return
        yield pc
        fp = word(self.sp + self.layout.frame_fp)
        for _ in range(FRAMES_MAX):
            if not self.is_in(fp):
                return
            caller, pc = word(fp), word(fp + 8)
            if pc == 0:
                return
            yield pc
            if caller <= fp:
                return
            fp = caller

    def thread(self):
        """The one that runs it; None if there is none."""
        m = word(self.layout.allm)
        while m:
            if word(m + self.layout.m_curg) == self.address:
                tid = half(m + self.layout.m_tid)
                for thread in gdb.selected_inferior().threads():
                    if thread.ptid[1] == tid:
                        return thread
            m = word(m + self.layout.m_link)
        return None


def goroutines():
    layout = Layout()
    found = []
    slab = word(layout.slabs)
    while slab:
        for i in range(layout.slab_count):
            g = Goroutine(layout, slab + layout.slab_gs + i * layout.g_size)
            if g.is_shown():
                found.append(g)
        slab = word(slab + layout.slab_next)
    return sorted(found, key=lambda g: g.id)


def function_of(pc):
    """The name of the function that has `pc`; "??" if gdb does not know."""
    # "name + 12 in section .text of /a/program"; demangled, "__" would be Ada's dot.
    text = gdb.execute(f"with print demangle off -- info symbol {pc:#x}", to_string=True)
    return "??" if text.startswith("No symbol") else text.split(" ")[0].strip()


def line_of(pc):
    """" at file:line", or "" without debug information."""
    sal = gdb.find_pc_line(pc)
    return f" at {sal.symtab.filename}:{sal.line}" if sal.symtab and sal.line else ""


def frame_text(number, pc):
    # A return address less one is in the call.
    return f"#{number:<3} {pc:#018x} in {function_of(pc - 1)} (){line_of(pc - 1)}"


def place_of(g):
    """The innermost function that is not gust's."""
    for pc in g.pcs():
        name = function_of(pc - 1)
        if not name.startswith(OWN_PREFIXES) and name not in OWN_STATICS:
            return f" in {name} (){line_of(pc - 1)}"
    return ""


def print_backtrace(g):
    print(g.title() + ":")
    if g.sp:
        for number, pc in enumerate(g.pcs()):
            print(frame_text(number, pc))
    else:
        print_thread(g.thread())
    fn = word(g.address + g.layout.g_fn)
    spawn_pc = word(g.address + g.layout.g_spawn_pc)
    print(f"     runs {function_of(fn)}, started in {function_of(spawn_pc - 1)}"
          f" (){line_of(spawn_pc - 1)}")


def print_thread(thread):
    if thread is None:
        print("     (not on a stack of its own, and on no thread's)")
        return
    selected = gdb.selected_thread()
    thread.switch()
    try:
        gdb.execute("backtrace")
    finally:
        if selected:
            selected.switch()


class InfoGoroutines(gdb.Command):
    """List all goroutines; * marks those that a thread runs."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for g in goroutines():
            thread = None if g.sp else g.thread()
            mark = "*" if thread else " "
            where = f" on thread {thread.num}" if thread else place_of(g)
            print(f"{mark} {g.title()}{where}")


class GoroutineCommand(gdb.Command):
    """goroutine N bt, goroutine all bt: print backtraces of goroutines."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) != 2 or words[1] not in ("bt", "backtrace"):
            raise gdb.GdbError("usage: goroutine N bt, or goroutine all bt")
        wanted = [g for g in goroutines() if words[0] in ("all", str(g.id))]
        if not wanted:
            raise gdb.GdbError(f"no goroutine {words[0]}")
        for i, g in enumerate(wanted):
            if i:
                print()
            print_backtrace(g)


InfoGoroutines()
GoroutineCommand()
