"""The sample's motion clips: where they come from, and who performs which.

They are motion capture that ships with DeepMimic (X. B. Peng et al., SIGGRAPH 2018), MIT licence, inside the PyPI wheel
of pybullet. The wheel is only a parcel: it is not installed, and the same file serves every system. This module imports
little, because the download depends on whatever it imports.
"""

from lib.sources.parcels import Parcel

SAMPLE = "sample"  # in data.source
REQUIREMENT = "pybullet==3.2.7"

# A test clip is never a training clip, whatever the bodies. Chosen before any figure was known, so that every role has
# locomotion or a jump and a fight move, and training and test each a dance and a get-up.
CLIPS = {
    "train": ("walk", "crawl", "spinkick", "dance_a", "spin", "cartwheel", "roll", "backflip", "getup_faceup"),
    "validation": ("jump", "punch"),
    "test": ("run", "kick", "dance_b", "getup_facedown"),
}
# The subjects, named after Human3.6M's, whose cameras film them.
PERFORMERS = {
    "train": ("S1", "S5", "S6", "S7"),
    "validation": ("S8",),
    "test": ("S9", "S11"),
}


def file_name(clip: str) -> str:
    """The file of a clip, in the wheel and in data/raw/sample."""
    return f"humanoid3d_{clip}.txt"


PARCEL = Parcel(
    REQUIREMENT,
    "pybullet-3.2.7-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff",
    103,
    "its motion clips",
    {f"pybullet_data/data/motions/{file_name(clip)}": file_name(clip) for clip in sum(CLIPS.values(), ())}
    | {"pybullet-3.2.7.dist-info/LICENSE.txt": "PYBULLET-LICENSE.txt"},
    ("--platform", "manylinux2014_x86_64", "--python-version", "311"),
    contents="2bc772020b6f88f294d21e0140499145a7e2635d7db886673310b0b76778d61f",
)
