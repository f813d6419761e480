"""A window to walk around in the point cloud of a sample."""

import os
import sys
from collections.abc import Sequence

import torch
from matplotlib.colors import Normalize, to_rgb

from avjepa.data.sample import Sample
from avjepa.errors import UserError
from avjepa.geometry.boxes import box_corners
from avjepa.report.bev import HEIGHT_COLOURS, HEIGHT_RANGE
from avjepa.report.style import CANVAS, CLASSES, class_colours


def show_points(sample: Sample, classes: Sequence[str] = CLASSES) -> None:
    """Open an interactive open3d window with the LiDAR points and the ground-truth boxes; returns when it is closed.

    Raises:
        UserError: the sample has no LiDAR points, or there is no display to open a window on.
    """
    if sample.lidar is None or not len(sample.lidar):
        raise UserError(f"sample {sample.token}: no LiDAR points to show; choose a sample that has LIDAR_TOP")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError("no display (DISPLAY and WAYLAND_DISPLAY are empty); write a picture with --out instead")
    import open3d  # takes seconds to import, and only this window needs it

    points = sample.lidar.detach().cpu()
    shade = Normalize(*HEIGHT_RANGE, clip=True)(points[:, 2].numpy())
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[:, :3].double().numpy()))
    cloud.colors = open3d.utility.Vector3dVector(HEIGHT_COLOURS(shade)[:, :3])
    shapes = [cloud, open3d.geometry.TriangleMesh.create_coordinate_frame(size=2.0)]
    if sample.labels is not None and len(sample.labels):
        pairs = torch.tensor(
            [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), *((i, i + 4) for i in range(4))]
        )
        for corners, index in zip(
            box_corners(sample.labels.boxes.double()), sample.labels.class_index.tolist(), strict=True
        ):
            lines = open3d.geometry.LineSet(
                open3d.utility.Vector3dVector(corners.numpy()), open3d.utility.Vector2iVector(pairs.numpy())
            )
            lines.paint_uniform_color(to_rgb(class_colours(classes)[index]))
            shapes.append(lines)
    window = open3d.visualization.Visualizer()
    if not window.create_window(f"{sample.scene} {sample.token}"):
        raise UserError("open3d could not open a window on this display; write a picture with --out instead")
    window.get_render_option().background_color = to_rgb(CANVAS)
    window.get_render_option().point_size = 2.0
    for shape in shapes:
        window.add_geometry(shape)
    window.run()
    window.destroy_window()
