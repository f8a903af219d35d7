"""What torchrun starts in ``test_restarts.py``: ``restart_driver.py DATA RUN KILL``.

With ``KILL``, the second process dies by SIGKILL in the ninth batch, before the first restart.
"""

import os
import signal
import sys

from elman.tasks import TASKS, Data, train
from elman.tasks.corpus import StreamedCorpus

SETTINGS = {
    "threads": 1, "hidden_size": 4, "embedding_size": 4, "min_count": 1, "batch_size": 4,
    "epochs": 2, "buffer_examples": 20, "checkpoint_seconds": 0,
}  # fmt: skip

if __name__ == "__main__":
    data, run, kill = sys.argv[1:]
    batches = 0
    collate = StreamedCorpus.collate

    def dying(self, rows, generator):
        global batches
        batches += 1
        first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if kill == "yes" and first and os.environ["RANK"] == "1" and batches == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return collate(self, rows, generator)

    StreamedCorpus.collate = dying
    train(TASKS["sentiment"], Data(data), run, SETTINGS)
