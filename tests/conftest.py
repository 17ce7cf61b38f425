"""Property tests draw the same examples in every run; HYPOTHESIS_PROFILE=search lets them look for new ones.

Tests on a Spark cluster start one, a master and two workers of the pyspark package on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeat", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


def free_port():
    from multiprocessing.connection import Listener

    with Listener(("127.0.0.1", 0)) as listener:
        return listener.address[1]


class Cluster:
    """A master and workers, each a process of its own, with room for the session of these tests and a run beside it."""

    def __init__(self, folder):
        import pyspark

        self.home, self.folder = Path(pyspark.__file__).parent, folder
        self.environ = os.environ | {"SPARK_HOME": str(self.home), "PYSPARK_PYTHON": sys.executable}
        self.port, self.workers = free_port(), []
        self.master = f"spark://127.0.0.1:{self.port}"
        self.process = self.start("master.Master", "--port", str(self.port))
        self.wait_for("master.Master", "Starting Spark master")
        for _ in range(2):
            self.add_worker()

    def start(self, name, *words, log=None):
        command = [str(self.home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1",
                   "--webui-port", "0", *words]  # fmt: skip
        with Path(self.folder, log or name).open("w") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, env=self.environ, cwd=self.folder)

    def wait_for(self, log, words):
        for _ in range(600):
            if words in Path(self.folder, log).read_text():
                return
            time.sleep(0.2)
        raise AssertionError(Path(self.folder, log).read_text()[-2000:])

    def add_worker(self):
        log = f"worker{len(self.workers)}"
        self.workers.append(
            self.start(
                "worker.Worker",
                "--cores",
                "2",
                "--memory",
                "2g",
                "--work-dir",
                f"work{len(self.workers)}",
                self.master,
                log=log,
            )
        )
        self.wait_for(log, "Successfully registered with master")

    def stop(self):
        for process in (*self.workers, self.process):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def any_workers(tmp_path_factory):
    """A cluster that keeps what tests leave of it."""
    if find_spec("pyspark") is None or find_spec("pyarrow") is None or shutil.which("java") is None:
        pytest.skip("needs pyspark, pyarrow and Java")
    from pyspark import SparkContext

    with pytest.MonkeyPatch.context() as patch:
        # short lives: the second compiler of Java would take more time than it saves
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        cluster = Cluster(tmp_path_factory.mktemp("cluster"))
        yield cluster
        if SparkContext._active_spark_context is not None:
            SparkContext._active_spark_context.stop()
        cluster.stop()


@pytest.fixture
def cluster(any_workers):
    """A cluster that has two workers when the test begins."""
    alive = [one for one in any_workers.workers if one.poll() is None]
    for _ in range(2 - len(alive)):
        any_workers.add_worker()
    return any_workers
