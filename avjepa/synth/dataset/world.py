"""One scene's street, complete: roads, scenery, actors in motion, light, the vehicle that records."""

from dataclasses import dataclass

import numpy as np
from pyquaternion import Quaternion

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.texture import Textures
from avjepa.synth.sensors.casting import RayCaster
from avjepa.synth.sensors.lighting import Lighting, choose_lighting
from avjepa.synth.sensors.rig import Mount, RigidPose, mount_sensors
from avjepa.synth.street.ground import Ground
from avjepa.synth.street.lots import build_scenery, scenery_mesh
from avjepa.synth.street.streets import Layout, lay_out
from avjepa.synth.traffic.action import Cast, populate, set_in_motion
from avjepa.synth.traffic.traffic import TIME_STEP


@dataclass(frozen=True)
class World:
    """Everything that the sensors of one scene need to know."""

    layout: Layout
    ground: Ground
    cast: Cast
    caster: RayCaster
    lighting: Lighting
    textures: Textures
    mounts: dict[str, Mount]

    def global_from_ego(self, time: float) -> RigidPose:
        """Pose of the recording vehicle (rear axle, on the ground) at a time in seconds since the scene began."""
        times = TIME_STEP * np.arange(len(self.cast.ego_yaw))
        xy = np.array([np.interp(time, times, self.cast.ego_xy[:, axis]) for axis in (0, 1)])
        yaw = float(np.interp(time, times, self.cast.ego_yaw))
        forward, left = np.array((np.cos(yaw), np.sin(yaw))), np.array((-np.sin(yaw), np.cos(yaw)))
        height = self.ground.height(np.stack((xy, xy + 2.6 * forward, xy + 0.75 * left, xy - 0.75 * left)))
        # the body sways a little on its springs
        pitch = -np.arctan2(height[1] - height[0], 2.6) + 0.003 * np.sin(7.1 * time) + 0.002 * np.sin(2.3 * time)
        roll = np.arctan2(height[2] - height[3], 1.5) + 0.002 * np.sin(5.3 * time + 1)
        return RigidPose(_quaternion(yaw, float(pitch), float(roll)), (float(xy[0]), float(xy[1]), float(height[0])))

    def sensor_velocity(self, channel: str, time: float) -> Array:
        """Velocity (3,) of a sensor over ground, global frame, m/s; the sway of the body is left out."""
        times = TIME_STEP * np.arange(len(self.cast.ego_yaw))
        around = np.array((max(time - 0.05, 0.0), time + 0.05))
        (x0, x1), (y0, y1) = (np.interp(around, times, self.cast.ego_xy[:, axis]) for axis in (0, 1))
        before, after = np.interp(around, times, self.cast.ego_yaw)
        span, rate, yaw = around[1] - around[0], (after - before) / (around[1] - around[0]), (before + after) / 2
        forward, left, _ = self.mounts[channel].translation
        cos, sin = np.cos(yaw), np.sin(yaw)
        lever = np.array((cos * forward - sin * left, sin * forward + cos * left))
        return np.array(((x1 - x0) / span - rate * lever[1], (y1 - y0) / span + rate * lever[0], 0.0))


def _quaternion(yaw: float, pitch: float, roll: float) -> Quaternion:
    """Turn about z, then about the new y, then about the new x, radians."""
    (cy, cp, cr), (sy, sp, sr) = np.cos((yaw / 2, pitch / 2, roll / 2)), np.sin((yaw / 2, pitch / 2, roll / 2))
    return Quaternion(
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )


def build_world(rng: np.random.Generator, duration: float, image_width: int) -> World:
    """A street with everybody's motion for ``duration`` seconds."""
    layout = lay_out(rng)
    ground = Ground(rng, layout)
    scenery = build_scenery(rng, layout, ground)
    cast = set_in_motion(rng, populate(rng, layout, scenery, duration), layout, ground, duration)
    lighting = choose_lighting(rng)
    textures = Textures(rng, ground, scenery.facades(), 0.25 if lighting.lamps > 0.5 else 0.02)
    return World(
        layout,
        ground,
        cast,
        RayCaster(scenery_mesh(scenery), cast, float(layout.roads[0].heading[140])),
        lighting,
        textures,
        mount_sensors(rng, image_width),
    )
