"""The schema of the nuScenes tables: which fields of a record are read, and what they must hold.

Types are checked where a record is read (``tables.TableReader``), nowhere else. A field that is not named here is
neither checked nor kept. A field with a default may be left out or null.
"""

from typing import Annotated, Any, ClassVar, TypeAlias

from msgspec import Meta, Struct

Text: TypeAlias = Annotated[str, Meta(description="a text is needed")]
Token: TypeAlias = Annotated[str, Meta(min_length=1, description="a text that is not empty is needed")]
Link: TypeAlias = Annotated[str, Meta(description="the token of another record is needed")]
Links: TypeAlias = Annotated[list[str], Meta(description="a list of tokens is needed")]
Flag: TypeAlias = Annotated[bool, Meta(description="true or false is needed")]
Microseconds: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**62, description="a whole number of microseconds below 2^62 is needed")
]
Count: TypeAlias = Annotated[
    int, Meta(ge=-(2**31), le=2**31 - 1, description="a whole number of at most 31 bits is needed")
]
Vector: TypeAlias = Annotated[tuple[float, float, float], Meta(description="three finite numbers are needed")]
Quaternion: TypeAlias = Annotated[
    tuple[float, float, float, float], Meta(description="four finite numbers (w, x, y, z) are needed")
]
Matrix: TypeAlias = Annotated[list[list[float]], Meta(description="a list of rows of finite numbers is needed")]


class Record(Struct, gc=False):
    """What all tables share."""

    table: ClassVar[str]
    token: Token


class Log(Record):
    """One recording."""

    table = "log"
    location: Text = ""


class Scene(Record):
    """Some 20 s of driving."""

    table = "scene"
    name: Token
    log_token: Link
    first_sample_token: Link = ""
    last_sample_token: Link = ""
    description: Any = ""


class Sample(Record):
    """A keyframe."""

    table = "sample"
    timestamp: Microseconds
    scene_token: Link
    prev: Link = ""
    next: Link = ""


class Sensor(Record):
    """A place on the vehicle."""

    table = "sensor"
    channel: Token
    modality: Text = ""


class CalibratedSensor(Record):
    """A sensor's pose on the vehicle, and a camera's matrix."""

    table = "calibrated_sensor"
    sensor_token: Link
    translation: Vector
    rotation: Quaternion
    camera_intrinsic: Matrix = []


class EgoPose(Record):
    """Where the vehicle was."""

    table = "ego_pose"
    translation: Vector
    rotation: Quaternion


class SampleData(Record):
    """One file of one sensor."""

    table = "sample_data"
    sample_token: Link
    ego_pose_token: Link
    calibrated_sensor_token: Link
    timestamp: Microseconds
    is_key_frame: Flag
    filename: Token
    height: Count | None = 0
    width: Count | None = 0
    prev: Link = ""
    next: Link = ""


class Map(Record):
    """An image of the ground where some recordings were made."""

    table = "map"
    filename: Token
    category: Text = ""
    log_tokens: Links = []


class Category(Record):
    """A kind of object."""

    table = "category"
    name: Token


class Attribute(Record):
    """A state of an object."""

    table = "attribute"
    name: Token


class Instance(Record):
    """One object, over all its annotations."""

    table = "instance"
    category_token: Link


class SampleAnnotation(Record):
    """One box."""

    table = "sample_annotation"
    sample_token: Link
    instance_token: Link
    translation: Vector
    size: Vector
    rotation: Quaternion
    visibility_token: Link = ""
    attribute_tokens: Links = []
    prev: Link = ""
    next: Link = ""
    num_lidar_pts: Count | None = None
    num_radar_pts: Count | None = None
