"""What the tests sweep over in place of a training: it takes tenths of a second.

--loss=raise and --loss=kill end badly; any other loss is logged as loss, loss/2, … loss/n, and
--last after these.
"""

import argparse
import os
import signal
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--loss")
parser.add_argument("--n", type=int, default=2)
parser.add_argument("--last", default=None)
parser.add_argument("--seconds", type=float, default=0.0)
parser.add_argument("--done", type=Path, default=None)
given = parser.parse_args()
here = Path(os.environ["LIGHTNING_POSENC_RUN_DIR"])

print("threads", os.environ["OMP_NUM_THREADS"], "gpu", os.environ.get("CUDA_VISIBLE_DEVICES"))
if given.loss == "raise":
    raise RuntimeError("no luck")
if given.loss == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
(here / "pid").write_text(str(os.getpid()))
with (here / "metrics.csv").open("w") as file:
    file.write("step,loss,other_loss\n")
    for step in range(given.n):
        time.sleep(given.seconds)
        file.write(f"{step},{float(given.loss) / (step + 1)},\n")
        file.flush()
    if given.last is not None:
        file.write(f"{given.n},{given.last},\n")
if given.done is not None:
    with given.done.open("a") as file:
        file.write(f"{given.loss}\n")
