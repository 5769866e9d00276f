"""Choices of device, precision and threads on machines that this one is not."""

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lib.runtime import device as module
from lib.runtime import hardware
from lib.runtime.console import Console
from lib.runtime.device import (
    Precision,
    choose_threads,
    describe_devices,
    fewest_fast_threads,
    has_bfloat16,
    measure_threads,
    resolve_device,
    resolve_precision,
)
from lib.runtime.errors import UserError
from lib.runtime.hardware import Hardware, make_fabric
from stages import devices

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")


def machine(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False, bfloat16: bool = False) -> None:
    """Pretend that this machine has these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or bfloat16
    )
    monkeypatch.setattr(module, "_cpu_capabilities", lambda: {"avx2": True, "avx512_bf16": bfloat16, "amx_bf16": False})


@pytest.mark.parametrize(
    ("cuda", "mps", "name", "expected"),
    [
        (2, True, "auto", "cuda:0"),
        (0, True, "auto", "mps"),
        (0, False, "auto", "cpu"),
        (2, False, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (2, True, "mps", "mps"),
        (2, True, "cpu", "cpu"),
    ],
)
def test_resolve_device(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, name: str, expected: str) -> None:
    machine(monkeypatch, cuda, mps)
    assert str(resolve_device(name)) == expected


@pytest.mark.parametrize("name", ["cuda:2", "mps", "gpu", "", "cuda:-1", "cpu:1"])
def test_a_device_that_is_not_there_is_an_error_that_names_what_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine(monkeypatch, cuda=2)
    with pytest.raises(UserError, match="has cuda:0, cuda:1, cpu") as caught:
        resolve_device(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "bfloat16", "name", "expected"),
    [
        (CPU, False, "auto", "32-true"),
        (CPU, True, "auto", "bf16-mixed"),
        (CUDA, False, "auto", "16-mixed"),
        (CUDA, True, "auto", "bf16-mixed"),
        (MPS, True, "auto", "32-true"),
        (CPU, True, "bf16-mixed", "bf16-mixed"),
        (CUDA, True, "16-mixed", "16-mixed"),
        (CUDA, False, "16-mixed", "16-mixed"),
        (CUDA, True, "32-true", "32-true"),
    ],
)
def test_resolve_precision(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, bfloat16: bool, name: Precision, expected: str
) -> None:
    machine(monkeypatch, cuda=1, mps=True, bfloat16=bfloat16)
    assert resolve_precision(name, device) == (expected, None)


@pytest.mark.parametrize(
    ("device", "name"),
    [(CPU, "16-mixed"), (CPU, "bf16-mixed"), (CUDA, "bf16-mixed"), (MPS, "16-mixed"), (MPS, "bf16-mixed")],
)
def test_a_precision_the_device_lacks_is_announced(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, name: Precision
) -> None:
    machine(monkeypatch, cuda=1, mps=True)
    precision, line = resolve_precision(name, device)
    assert precision == "32-true"
    assert line == f"precision {name} is not available on {device}: using 32-true"


def test_bfloat16_of_this_cpu_is_what_the_system_says() -> None:
    flags = Path("/proc/cpuinfo")
    if flags.exists() and module._cpu_capabilities().get("architecture") == "x86_64":
        words = flags.read_text().split()
        assert has_bfloat16(CPU) == ("avx512_bf16" in words or "amx_bf16" in words)
    else:
        assert not has_bfloat16(CPU)


def test_threads() -> None:
    assert choose_threads(1) == 1
    assert 1 <= choose_threads("auto") <= module._usable_cores()
    assert fewest_fast_threads({1: 95.0, 2: 100.0, 4: 104.0}) == 1
    assert fewest_fast_threads({1: 80.0, 2: 100.0, 4: 104.0}) == 2
    assert fewest_fast_threads({1: 60.0, 2: 40.0}) == 1
    assert [module._thread_counts(cores) for cores in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_threads_are_tuned_where_they_are_left_open_on_a_cpu() -> None:
    before = torch.get_num_threads()
    try:
        fixed, left_open = (Hardware.prepare("cpu", "32-true", threads, print) for threads in (1, "auto"))
    finally:
        torch.set_num_threads(before)
    assert fixed.tuner is None
    assert fixed.description == "cpu, 32-true, 1 threads"
    assert left_open.tuner is not None
    assert left_open.tuner.counts == module.candidate_threads()
    assert left_open.description.endswith(f"{left_open.tuner.threads} threads to begin with")


def test_no_threads_are_tuned_beside_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=1)
    fabric = make_fabric(CPU, "32-true")
    monkeypatch.setattr(hardware, "make_fabric", lambda device, precision: fabric)
    monkeypatch.setattr(hardware, "describe_device", str)
    before = torch.get_num_threads()
    try:
        assert Hardware.prepare("auto", "auto", "auto", print).tuner is None
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_of_every_command_spin_shortly_unless_the_user_says_how(given: dict[str, str], expected: str) -> None:
    code = "import stages, sys, os; print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"
    own = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in own} | given
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, check=True)
    assert result.stdout.decode().split() == ["False", expected]


def test_measuring_threads_leaves_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        speeds = measure_threads(seconds=0.02)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert list(speeds) == module._thread_counts(module._usable_cores())
    assert all(speed > 0.01 for speed in speeds.values())


def test_describe_devices_ends_with_the_cpu() -> None:
    cpu = describe_devices()[-1]
    assert cpu.device == CPU
    assert cpu.hardware
    assert cpu.memory is None or cpu.memory > 2**28


def test_a_device_is_logged_in_words(caplog: pytest.LogCaptureFixture) -> None:
    assert (
        str(module.DeviceInfo(CPU, "Some CPU", 3 << 29, False)) == "cpu: Some CPU, 1.5 GiB of memory, without bfloat16"
    )
    assert str(module.DeviceInfo(CPU, "Some CPU", None, True)) == "cpu: Some CPU, memory not known, with bfloat16"
    caplog.set_level(logging.INFO, "lib")
    threads = torch.get_num_threads()
    Hardware.prepare("cpu", "32-true", threads, print)
    assert str(module.describe_device(CPU)) in caplog.messages


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fabric_trains(precision: str, capfd: pytest.CaptureFixture[str]) -> None:
    fabric = make_fabric(CPU, precision)
    model = torch.nn.Linear(3, 1)
    student, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters()))
    before = model.weight.detach().clone()
    output = student(torch.ones(2, 3))
    fabric.backward(output.square().mean())
    optimizer.step()
    assert fabric.device == CPU
    assert output.dtype == torch.float32
    assert not torch.equal(before, model.weight)
    assert capfd.readouterr().err == ""


def test_nothing_of_lightnings_reaches_stderr() -> None:
    code = "import torch; from lib.runtime.hardware import make_fabric; make_fabric(torch.device('cpu'), 'bf16-mixed')"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")
    assert logging.getLogger("lightning_fabric").level == logging.WARNING  # what goes wrong is still said


def test_the_devices_command_says_what_auto_picks(capsys: pytest.CaptureFixture[str]) -> None:
    devices.run(Console())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["device", "hardware", "memory", "bfloat16", "precision"]
    assert sum(line.endswith("  auto") for line in lines) == 1
    assert f"  device: {resolve_device('auto')}" in lines


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match="100000 threads are more than this machine's"):
        choose_threads(100_000)
