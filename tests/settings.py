"""Small, complete sections of params that tests share."""

from lib.anatomy import PriorParams
from lib.data.transforms import TransformParams
from lib.params import section

PRIOR = section(
    PriorParams,
    "prior",
    {
        "prior": {
            "postures": {"stand": 1, "walk": 1, "step": 1, "sit": 1, "crouch": 1, "bend": 1},
            "tumbling": 0.1,
            "bone_spread": 0.1,
            "elevation_deg": [10, 8],
            "roll_deg": 2,
            "distance_m": [3, 7],
        }
    },
)
NO_TRANSFORMS = TransformParams(normalization="rms", flip=0, rotation_deg=0, scaling=0, noise=0, mask=0)
