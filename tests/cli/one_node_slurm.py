"""A Slurm of one node, this machine, with everything that it needs in a folder of its own."""

import os
import pathlib
import shutil
import socket
import subprocess
import time

DAEMONS = ("munged", "slurmctld", "slurmd")

CONFIG = """\
ClusterName=annulus
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
# Where nothing of systemd or of cgroups is needed.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
# Tests wait for these.
KillWait=2
MinJobAge=300
SchedulerParameters=sched_interval=1,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE OverTimeLimit=0 State=UP
"""


def missing():
    """Why it cannot be started here; empty where it can."""
    absent = [
        name
        for name in DAEMONS
        if shutil.which(name, path="/usr/sbin:/sbin:" + os.environ["PATH"]) is None
    ]
    if absent:
        return f"no {', '.join(absent)} here (slurm-wlm)"
    return "" if os.geteuid() == 0 else "Slurm's daemons need root"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class OneNodeSlurm:
    """Runs while it is a context; `environment` is what Slurm's commands need."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = dict(
            os.environ,
            SLURM_CONF=str(self.folder / "slurm.conf"),
            PATH="/usr/sbin:/sbin:" + os.environ["PATH"],
        )
        self.daemons = []

    def __enter__(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (self.folder / "slurm.conf").write_text(
            CONFIG.format(
                folder=self.folder,
                host=socket.gethostname().split(".")[0],
                ports=free_ports(2),
                cpus=len(os.sched_getaffinity(0)),
            )
        )
        try:
            # Started as root in a folder that others may write to.
            self.start(
                "munged",
                "--foreground",
                "--force",
                f"--key-file={key}",
                "--num-threads=2",
                *(f"--{what}-file={self.folder}/munge.{what}" for what in ("pid", "log", "seed")),
                f"--socket={self.folder}/munge.socket",
            )
            self.wait_for((self.folder / "munge.socket").exists, "munged")
            self.start("slurmctld", "-D", "-i")
            self.start("slurmd", "-D")
            self.wait_for(
                lambda: self.run("sinfo", "-h", "-o", "%t").stdout.strip() == "idle", "slurmd"
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def start(self, *command):
        with open(self.folder / f"{command[0]}.out", "w", encoding="utf-8") as out:
            self.daemons.append(
                subprocess.Popen(command, stdout=out, stderr=out, env=self.environment)
            )

    def run(self, *command, **options):
        return subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **{"env": self.environment, **options},
        )

    def wait_for(self, condition, what, seconds=90):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.log()}"
            time.sleep(0.1)

    def log(self):
        """The ends of what the daemons say."""
        said = [
            path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log"))
        ]
        return "\n".join(said) or "no log"
