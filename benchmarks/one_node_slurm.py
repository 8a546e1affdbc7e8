"""A real Slurm on this machine, controller and node in one, for as long as this runs.

    apt-get install slurm-wlm munge
    python -m benchmarks.one_node_slurm                 prints the line that lets other commands find it; Ctrl-C ends it

It needs root, for Slurm's daemons do. There are two partitions: `main`, and `urgent`, whose jobs put those of `main`
back into the queue. There is no accounting: `sacct` fails, and submitit says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["missing", "one_node_slurm", "slurm_environment"]

_PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "scontrol", "squeue")
_UP_SECONDS: Final = 30.0
_CONFIGURATION: Final = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
"""


def missing() -> str | None:
    """Return why there can be no Slurm here; None where there can."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: apt-get install slurm-wlm munge" if absent else None


@contextmanager
def one_node_slurm() -> Iterator[Path]:
    """Start the daemons, yield the configuration file, stop them.

    Raises:
        RuntimeError: something is missing, or the node does not come up; with the end of the logs.
    """
    if problem := missing():
        raise RuntimeError(problem)
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # a short path: a socket's name has 107 letters
    folder.chmod(0o755)
    try:
        yield _start(folder)
    finally:
        for name in ("slurmd", "slurmctld", "munged"):
            _kill(folder / f"{name}.pid")
        shutil.rmtree(folder, ignore_errors=True)


def slurm_environment(configuration: Path) -> dict[str, str]:
    """Return what Slurm's own commands, and so submitit's, need to find this one."""
    return {"SLURM_CONF": str(configuration)}


def _start(folder: Path) -> Path:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    host, cpus = socket.gethostname().partition(".")[0], len(os.sched_getaffinity(0))
    configuration.write_text(_CONFIGURATION.format(folder=folder, host=host, cpus=cpus, ports=_free_ports(2)))
    environment = {**os.environ, **slurm_environment(configuration)}
    places = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
    munged = ["munged", "--force", f"--key-file={key}", *(f"--{name}={folder / at}" for name, at in places.items())]
    for command in (munged, ["slurmctld"], ["slurmd"]):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + _UP_SECONDS
    while "idle" not in _said(["sinfo", "--noheader", "--format=%T"], environment):
        if time.monotonic() > until:
            logs = "\n".join(path.read_text(errors="replace")[-1000:] for path in sorted(folder.glob("*.log")))
            raise RuntimeError(f"the node did not come up within {_UP_SECONDS:g} s:\n{logs}")
        time.sleep(0.2)
    return configuration


def _said(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _kill(pid_file: Path) -> None:
    if not pid_file.is_file():
        return
    number = int(pid_file.read_text())
    os.kill(number, signal.SIGTERM)
    until = time.monotonic() + 10
    while Path(f"/proc/{number}").exists() and time.monotonic() < until:
        time.sleep(0.05)


def main() -> None:
    with one_node_slurm() as configuration:
        print(f"export SLURM_CONF={configuration}", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
