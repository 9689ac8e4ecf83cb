"""Write every dashboard beside this: `python -m operations.grafana`."""

from pathlib import Path

from operations.grafana.boards import BOARDS
from operations.grafana.writing import written

if __name__ == "__main__":
    for board in BOARDS:
        (Path(__file__).parent / f"{board.name}.json").write_text(written(board))
