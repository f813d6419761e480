"""Leave every other ring of every LiDAR file of a synthetic data set: a sensor of 16 beams. Changes the files.

python tools/thin_lidar.py --data DIR
"""

import argparse
from pathlib import Path

from avjepa.data.files.pointfiles import read_lidar, write_lidar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="root of the data set")
    files = sorted(parser.parse_args().data.glob("s*/LIDAR_TOP/*.pcd.bin"))
    for file in files:
        points = read_lidar(file)
        write_lidar(file, points[points[:, 4] % 2 == 0])
    print(f"{len(files)} files thinned")


if __name__ == "__main__":
    main()
