from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from lib.data import store
from lib.inference.predictions import Predictions
from lib.plotting.animation import frame_indices, motion_images, write_gif
from lib.plotting.figures import (
    Example,
    error_by_action,
    error_by_joint,
    new_figure,
    pose_rows,
    reliability_figure,
    training_curves,
)
from lib.plotting.joints import layout_figure
from lib.plotting.params import VisualizeParams
from lib.plotting.results import Results
from lib.plotting.selection import select_sequences, typical_frames
from lib.plotting.skeletons import FRONT, SkeletonStyle, cuboid, draw_2d, draw_3d, square, to_plot
from lib.pose.geometry import root_centred
from lib.pose.landmarks import BODY, LANDMARKS
from lib.pose.layout import Layout
from lib.pose.layouts import LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.params import section
from tests.settings import KNOWN, SMALL
from tests.synthetic import CAMERA, motion, write_store

STYLE = SkeletonStyle(H36M)
PARAMS = {
    "sequences": ["*"],
    "count": 2,
    "dpi": 60,
    "gif_frames": 3,
    "gif_fps": 10.0,
    "viewer_sequences": 1,
    "left_color": "#0072B2",
    "right_color": "#D55E00",
}


def _example(labels: bool = True) -> Example:
    positions = motion(1)[0]
    pose = root_centred(positions, H36M)
    return Example("S9/Walking, frame 0", CAMERA.project(positions), pose, pose.clone() if labels else None)


def _texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def test_people_stand_upright_in_both_drawings() -> None:
    head, pelvis = H36M.index("head"), H36M.index("pelvis")
    assert to_plot(torch.tensor([1.0, 2.0, 3.0])).tolist() == [1, 3, -2]
    pose = to_plot(root_centred(motion(1)[0], H36M))
    assert pose[head, 2] > pose[pelvis, 2] + 0.5
    axes = new_figure(3.0, 3.0).subplots()
    keypoints = CAMERA.project(motion(1)[0])
    draw_2d(axes, keypoints, STYLE)
    assert axes.yaxis_inverted()
    assert keypoints[head, 1] < keypoints[pelvis, 1]
    _, height = axes.transData.transform(keypoints.numpy()).T
    assert height[head] > height[pelvis]


def test_axes_are_equal() -> None:
    figure = new_figure(6.0, 3.0)
    flat, space = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
    draw_2d(flat, CAMERA.project(motion(1)[0]), STYLE)
    draw_3d(space, root_centred(motion(1)[0], H36M), STYLE)
    assert flat.get_aspect() == 1.0
    ranges = [np.ptp(limits) for limits in (space.get_xlim(), space.get_ylim(), space.get_zlim())]
    np.testing.assert_allclose(space._box_aspect / ranges, (space._box_aspect / ranges)[0])


def test_a_bone_has_the_colour_of_its_side() -> None:
    axes = new_figure(3.0, 3.0).add_subplot(projection="3d")
    lines = draw_3d(axes, root_centred(motion(1)[0], H36M), STYLE)
    for line, (child, _) in zip(lines, H36M.bones, strict=True):
        side = H36M.names[child].split("_")[0]
        expected = {"left": STYLE.left, "right": STYLE.right}.get(side, STYLE.middle)
        assert to_rgba(line.get_color()) == to_rgba(expected)


def test_the_drawn_body_faces_us() -> None:
    assert set(FRONT) == set(LANDMARKS)
    for landmark in BODY.left:
        x, y = FRONT[LANDMARKS[landmark]]
        assert x > 0  # the left of a person who faces us is on our right
        assert FRONT[LANDMARKS[BODY.mirror[landmark]]] == (-x, y)
    for landmark in set(range(len(BODY))) - {*BODY.left, *BODY.right}:
        assert FRONT[LANDMARKS[landmark]][0] == 0


def test_everybody_is_inside_the_boxes() -> None:
    poses = root_centred(motion(30), H36M)
    keypoints = CAMERA.project(motion(30))
    for points, box in ((poses, cuboid(poses)), (keypoints, square(keypoints))):
        assert ((points - torch.tensor(box.center)).abs() < torch.tensor(box.half)).all()


@pytest.mark.parametrize("labels", [True, False])
def test_a_pose_row_has_its_panels_titles_units_and_legend(labels: bool) -> None:
    figure = pose_rows([_example(labels), _example(labels)], STYLE)
    texts = _texts(figure)
    assert len(figure.axes) == (6 if labels else 4)
    assert texts.count("true 3D") == (2 if labels else 0)
    assert texts.count("predicted 3D") == texts.count("2D keypoints") == 2
    assert texts.count("S9/Walking, frame 0: P-MPJPE 0 mm" if labels else "S9/Walking, frame 0") == 2
    for label in ("u (px)", "v (px)", "right (m)", "depth (m)", "up (m)", "person's left", "person's right"):
        assert label in texts


def test_rows_with_and_without_truth_stand_in_one_picture() -> None:
    _, _, true, _, _, nothing = pose_rows([_example(), _example(labels=False)], STYLE).axes
    assert true.get_visible() and not nothing.get_visible()


def test_predicted_and_true_pose_share_their_limits() -> None:
    example = _example()
    example = example._replace(predicted=example.predicted * 1.2)
    _, predicted, true = pose_rows([example], STYLE).axes
    assert predicted.get_xlim() == true.get_xlim()
    assert predicted.get_ylim() == true.get_ylim()
    assert predicted.get_zlim() == true.get_zlim()  # type: ignore[attr-defined]


def test_error_by_joint_has_bars_a_body_and_units() -> None:
    values = np.linspace(10, 90, 17)
    table = pd.DataFrame({"joint": H36M.names, "mpjpe_mm": values + 5, "n_mpjpe_mm": values, "p_mpjpe_mm": values})
    figure = error_by_joint(table, STYLE)
    bars, body, _ = figure.axes
    expected = [float(values[H36M.index(name)]) for name in FRONT if name in H36M.names]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx(expected)  # type: ignore[attr-defined]
    assert np.shape(body.collections[0].get_offsets()) == (17, 2)
    labels = {text.get_text(): text.get_color() for text in bars.get_yticklabels()}
    assert (labels["left wrist"], labels["right wrist"]) == (STYLE.left, STYLE.right)
    assert {"error (mm)", "P-MPJPE (mm)", "the body faces you"} <= set(_texts(figure))


def test_error_by_action_is_sorted_and_shows_the_mean() -> None:
    table = pd.DataFrame({"action": ["B", "A"], "frames": [2000, 10], "mpjpe_mm": [60.0, 50], "p_mpjpe_mm": [40.0, 30]})
    figure = error_by_action(table)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["A (10 frames)", "B (2,000 frames)"]
    assert any("35.0 mm" in text for text in _texts(figure))


def test_reliability_is_a_curve_beside_the_diagonal() -> None:
    table = pd.DataFrame({"stated_mm": [10.0, 20, 40], "mpjpe_mm": [12.0, 25, 70], "points": [5, 5, 5]})
    figure = reliability_figure(table)
    (axes,) = figure.axes
    diagonal, curve = (np.asarray(line.get_xydata()) for line in axes.lines)
    assert (diagonal[:, 0] == diagonal[:, 1]).all() and diagonal.max() > 70
    assert curve.tolist() == [[10, 12], [20, 25], [40, 70]]
    assert axes.get_xlim() == axes.get_ylim() and axes.get_aspect() == 1
    texts = _texts(figure)
    assert "as stated" in texts
    assert [text for text in texts if "(mm)" in text] == [
        "error that the model states of a joint (mm)",
        "its mean error (mm)",
    ]


@pytest.mark.parametrize("layout", KNOWN, ids=lambda layout: layout.name)
def test_a_picture_of_a_layout_numbers_and_names_every_keypoint(layout: Layout) -> None:
    style = SkeletonStyle(layout.skeleton)
    figure = layout_figure(layout, style)
    texts = _texts(figure)
    names = [f"{number}  {name.replace('_', ' ')}" for number, name in enumerate(layout.keypoints)]
    assert [text for text in texts if text in names] == names
    body = figure.axes[0]
    marked = {text.get_text(): text.get_position() for text in body.texts}
    assert set(marked) == set(map(str, range(len(layout))))
    assert f"{layout.name}: {len(layout)} keypoints of a body that faces you" in texts
    for number, landmark in enumerate(layout.landmarks):
        side = np.sign(round(marked[str(number)][0], 6))
        assert side == {"left": 1, "righ": -1}.get(landmark[:4], 0), landmark


def test_a_picture_of_a_layout_says_what_is_marked_where_names_do_not() -> None:
    texts = _texts(layout_figure(LAYOUTS["body_25"], SkeletonStyle(LAYOUTS["body_25"].skeleton)))
    assert [text.strip() for text in texts if text.startswith("      ")] == [
        "left shoulder, right shoulder",
        "left hip, right hip",
    ]
    places = {text.get_text(): text.get_position() for text in _layout_body(SMALL).texts}
    spine, thorax = FRONT["spine"], FRONT["thorax"]
    assert places["1"] == pytest.approx((0, 0.3 * spine[1] + 0.7 * thorax[1]))  # a mixture lies between


def _layout_body(layout: Layout) -> Axes:
    return layout_figure(layout, SkeletonStyle(layout.skeleton)).axes[0]


def test_training_curves_have_a_panel_a_quantity() -> None:
    table = pd.DataFrame(
        {
            "step": [1, 2, 3],
            "train/total": [1.0, 0.1, 0.01],
            "validation/total": [np.nan, 0.2, np.nan],
            "train/prior_weight": [1.0, 1.1, 1.2],
            "learning_rate": [1e-3, 5e-4, 0.0],
        }
    )
    panels = {panel.get_title(): panel for panel in training_curves(table).axes}
    assert list(panels) == ["total", "prior weight", "learning rate"]
    assert [len(line.get_xdata()) for line in panels["total"].lines] == [3, 1]  # type: ignore[arg-type]
    assert [panel.get_yscale() for panel in panels.values()] == ["log", "linear", "linear"]
    assert panels["total"].get_xlabel() == "step"


def test_a_gif_has_the_frames_the_speed_and_few_bytes(tmp_path: Path) -> None:
    positions = motion(4)
    images = motion_images(
        CAMERA.project(positions), root_centred(positions, H36M), root_centred(positions, H36M), "S9", STYLE
    )
    for name in ("one.gif", "two.gif"):
        write_gif(tmp_path / name, images, fps=12.5)
    with Image.open(tmp_path / "one.gif") as gif:
        assert (getattr(gif, "n_frames", 0), gif.info["duration"], gif.info["loop"]) == (4, 80, 0)
        gif.seek(2)
        colors = {color for _, color in gif.convert("RGB").getcolors() or []}
    assert {
        (255, 255, 255),
        *(tuple(round(255 * c) for c in to_rgba(side)[:3]) for side in (STYLE.left, STYLE.right)),
    } <= colors
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()
    assert (tmp_path / "one.gif").stat().st_size / 4 * 48 < 700_000


def test_motion_is_shown_at_its_real_speed() -> None:
    assert frame_indices(100, 50.0, 5, 12.5).tolist() == [0, 4, 8, 12, 16]
    assert frame_indices(10, 50.0, 5, 12.5).tolist() == [0, 4, 8]
    assert frame_indices(100, 10.0, 4, 20.0).tolist() == [0, 0, 1, 2]


def _table() -> pd.DataFrame:
    rows = [("S9", action, camera) for action in ("Eating", "Walking 1") for camera in ("c1", "c2", "c3")]
    return pd.DataFrame(rows, columns=pd.Index(["subject", "action", "camera"]))


def test_patterns_choose_sequences_evenly() -> None:
    def chosen(patterns: list[str], count: int) -> list[int]:
        return select_sequences(_table(), patterns, count).index.tolist()

    assert chosen(["*"], 9) == [0, 1, 2, 3, 4, 5]
    assert chosen(["*"], 2) == [1, 4]
    assert chosen(["S9/Walking*/c2", "*/c1"], 9) == [0, 3, 4]


def test_an_unknown_sequence_is_an_error_that_names_what_there_is() -> None:
    message = r"'S1/\*' matches no test sequence.*subjects S9; actions Eating, Walking 1; cameras c1, c2, c3"
    with pytest.raises(UserError, match=message):
        select_sequences(_table(), ["*", "S1/*"], 1)


def test_typical_frames_are_those_of_the_quantiles() -> None:
    errors = torch.arange(101.0).flip(0)
    assert list(typical_frames(errors).values()) == [90, 50, 5]


def test_an_example_knows_its_sequence(tmp_path: Path) -> None:
    split = store.read_split(write_store(tmp_path / "poses.h5"), "test", "needed")
    assert split.positions is not None
    poses = root_centred(split.positions, H36M)
    results = Results.of(split, Predictions(split.table, poses, poses, poses[..., 0], poses[..., 0]))
    assert results.example(49, "good").label == "good\nS9/Walking/camera1, frame 19"
    assert results.example(50).label == "S11/Eating 2/camera1, frame 0"


def test_predictions_of_other_sequences_are_an_error(tmp_path: Path) -> None:
    split = store.read_split(write_store(tmp_path / "poses.h5"), "test", "needed")
    other = split.table.assign(subject="S5")
    with pytest.raises(UserError, match="the predictions belong to other sequences than the store"):
        Results.of(split, Predictions(other, *[torch.zeros(60, 17, 3)] * 2, *[torch.zeros(60, 17)] * 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left_color": "no colour"}, "visualize.left_color = 'no colour': .*a colour that matplotlib knows"),
        ({"sequences": []}, "visualize.sequences = "),
        ({"gif_fps": 100.0}, "visualize.gif_fps = 100.0: must be a number from 1 to 50"),
    ],
)
def test_wrong_params_are_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        section(VisualizeParams, "visualize", {"visualize": PARAMS | change})
