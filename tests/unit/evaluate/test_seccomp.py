"""The filter, run by a small interpreter of its own instructions: what it denies and what it lets through."""

import errno

import pytest

from zt_gate.evaluate.sandbox import kernel, seccomp

X86, ARM = 0xC000003E, 0xC00000B7
ALLOW, NOTIFY, KILL = 0x7FFF0000, 0x7FC00000, 0x80000000


def decide(steps, number: int, arch: int, argument: int = 0) -> int:
    """Run a classic BPF program over struct seccomp_data, as far as ours needs it."""
    data = {0: number, 4: arch, 16: argument}
    at = value = 0
    while True:
        code, yes, no, constant = steps[at]
        at += 1
        if code == 0x06:
            return constant
        if code == 0x20:
            value = data[constant]
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
            at += yes if holds else no


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: request.param)
    return kernel.audit_arch()


def test_what_is_listed_is_denied_and_told(machine):
    steps = seccomp.program(machine)
    for name in seccomp.DENIED:
        number = kernel.number_of(name)
        assert number is None or decide(steps, number, machine) == NOTIFY, name
    assert decide(steps, kernel.number_of("clone3"), machine) == 0x50000 | errno.ENOSYS


def test_threads_may_be_made_and_processes_not(machine):
    steps, clone = seccomp.program(machine), kernel.number_of("clone")
    assert decide(steps, clone, machine, 0x00010000 | 0x100) == ALLOW
    assert decide(steps, clone, machine, 17) == NOTIFY


def test_the_rest_is_let_through(machine):
    steps = seccomp.program(machine)
    denied = {kernel.number_of(name) for name in (*seccomp.DENIED, "clone", "clone3")}
    for number in set(range(470)) - denied:
        assert decide(steps, number, machine) == ALLOW, number


def test_other_architectures_and_the_second_table_end_the_process(machine):
    steps = seccomp.program(machine)
    assert decide(steps, 0, 0x40000003) == KILL
    assert decide(steps, 0x40000000 | 59, machine) == KILL


def test_an_unknown_machine_has_no_numbers(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert kernel.audit_arch() is None
    assert kernel.number_of("execve") is None
    with pytest.raises(OSError, match="riscv64"):
        kernel.syscall("landlock_create_ruleset")


def test_numbers_are_those_of_this_kernel():
    """The C library's own headers are not at hand everywhere; Python knows none. A few numbers can be asked for."""
    assert kernel.name_of(kernel.number_of("socket")) == "socket"
    assert kernel.name_of(100_000) == "system call 100000"
