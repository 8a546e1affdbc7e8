"""A PostgreSQL server of the tests' own, in a temporary folder, with a password."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PASSWORD", "Server", "find_binaries", "running_server"]

PASSWORD = "s3cret:/?#@ word"
"""With every character that a URL must encode."""

_ENCODED = "s3cret%3A%2F%3F%23%40%20word"


@dataclass
class Server:
    """One cluster; `stop` and `start` it as an administrator does."""

    binaries: Path
    folder: Path
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://ana:{_ENCODED}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "start", "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options)

    def stop(self, how: str = "fast") -> None:
        """As `systemctl restart` does: sessions are cut off. `immediate` is a crash, repaired at the next start."""
        self._run("pg_ctl", "stop", "-w", "-m", how, "-D", f"{self.folder}/data")

    def new_database(self) -> str:
        """Create an empty one and return its URL."""
        name = f"studies_{secrets.token_hex(4)}"
        self._run("createdb", "-h", str(self.folder), "-p", str(self.port), "-U", "ana", name, PGPASSWORD=PASSWORD)
        return self.url(name)

    def initialize(self) -> None:
        (self.folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
            shutil.chown(self.folder / "password", "postgres")
        self._run(
            "initdb", "-D", f"{self.folder}/data", "-U", "ana", "-A", "scram-sha-256", "--no-sync",
            f"--pwfile={self.folder}/password",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str, **variables: str) -> None:
        command = [str(self.binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # Output to a file: the server inherits it, and would hold a pipe open for as long as it lives.
        with (self.folder / f"{program}.out").open("w") as out:
            done = subprocess.run(
                command, cwd=self.folder, env=os.environ | variables, stdout=out, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode:
            raise RuntimeError(f"{program}: {(self.folder / f'{program}.out').read_text()}")


def find_binaries() -> Path | None:
    """Return the folder of the newest server installed, as Debian has them or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def running_server(binaries: Path) -> Iterator[Server]:
    import tempfile

    # Not pytest's folder: the user postgres may not look into it, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(binaries, folder, port)
    try:
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
