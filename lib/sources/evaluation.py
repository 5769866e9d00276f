"""The part of the section `evaluation` that names another source to test on."""

from typing import ClassVar

from lib.runtime.errors import UserError
from lib.runtime.params import Name, Section
from lib.sources.base import SourceParams, SplitParams, Subject

SAME = "same"


class EvaluationSourceParams(Section):
    """`evaluation`: another source to test on, as `data.source`, `data.keypoints` and `data.split.test` of it."""

    elsewhere: ClassVar[frozenset[str]] = frozenset(
        {"device", "batch_size", "flip", "constant_bone_lengths", "depth_signs", "denoise", "scale"}
    )

    source: Name  # same: that of the training data
    keypoints: Name
    subjects: tuple[Subject, ...]

    def of(self, data: SourceParams) -> SourceParams | None:
        """What to read for testing, as it says itself which layout and cameras it has; None: nothing else than `data`.

        Raises:
            UserError: it is the same source under its own name, or nobody is named to be tested.
        """
        if self.source == SAME:
            return None
        if self.source == data.source:
            raise UserError(
                f"params.yaml: evaluation.source = {self.source!r} is data.source: say {SAME}, which tests on "
                "data.split.test"
            )
        if not self.subjects:
            raise UserError(
                f"params.yaml: evaluation.source = {self.source!r} needs evaluation.subjects: whom of it to test on"
            )
        if len(set(self.subjects)) < len(self.subjects):
            raise UserError("params.yaml: evaluation.subjects names somebody more than once")
        split = SplitParams(train=(), validation=(), test=self.subjects)
        own = {"source": self.source, "keypoints": self.keypoints, "layout": "auto", "cameras": "auto", "split": split}
        return data.model_copy(update=own)
