// What stands on the stage: figures, each a motion with its place and its colours. And colours.

const LIMB = 0.021, TRUNK = 0.024; // metres: half the thickness of bones
const JOINT = 0.027, HEAD = 0.045;
const SHADES = 3; // of figures: full colours, lighter, darker
const MARKS = ["--accent", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#d9c400"]; // of figures, where there are several

function channels(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}

/** Between two colours as #rrggbb. */
function mix(one, other, part) {
  const [a, b] = [channels(one), channels(other)];
  return "#" + a.map((value, i) => Math.round(value + (b[i] - value) * part).toString(16).padStart(2, "0")).join("");
}

function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Everything that the canvases draw with, in the theme of now; made anew when it changes, never while drawing. */
function paletteOf(colors) {
  const names = ["paper", "ground", "sky", "ink", "soft", "faint", "grid", "middle", "truth", "accent", "shadow"];
  const palette = Object.fromEntries(names.map((name) => [name, cssColor(`--${name}`)]));
  palette.shade = +cssColor("--shade"); // how dark shadows are
  const [left, right] = colors;
  palette.shades = Array.from({ length: SHADES }, (_, shade) =>
    [palette.middle, left, right].map((base) => {
      const own = shade === 0 ? base : shade === 1 ? mix(base, "#ffffff", 0.45) : mix(base, "#000000", 0.4);
      return { base: own, light: mix(own, "#ffffff", 0.42), dark: mix(own, "#000000", 0.25), edge: palette.ground };
    }));
  palette.marks = MARKS.map((mark) => (mark.startsWith("--") ? cssColor(mark) : mark));
  return palette;
}

/** A figure for every motion that is chosen. `column` is its place where models stand side by side. */
function figuresOf(scene, person, model, pointsName) {
  const shown = scene.motions.filter((motion) =>
    (person === null || motion.person === person) && (model === null || motion.model === model));
  const models = [...new Set(shown.map((motion) => motion.model))];
  const persons = [...new Set(shown.map((motion) => motion.person))];
  return shown.map((motion, index) => {
    const points = motion[pointsName];
    const parts = [models.length > 1 ? motion.model || "model" : "", persons.length > 1 ? `person ${motion.person}` : ""];
    return {
      motion, points, mark: index % MARKS.length, shade: models.indexOf(motion.model) % SHADES,
      column: models.indexOf(motion.model), columns: models.length,
      label: parts.filter(Boolean).join(", "),
      // The target marks keypoints: it is shown beside either kind of points.
      truth: motion.target,
      screen: new Float32Array(points.count * 3), // x, y and pixels a metre there; 0 pixels: not to be seen
      truthScreen: new Float32Array(motion.keypoints.count * 3),
      frame: -1, x: 0, z: 0, detected: true,
    };
  });
}

/** Whether anything of the person was detected in a frame. */
function isDetected(motion, frame) {
  const count = motion.keypoints.count;
  for (let i = frame * count; i < (frame + 1) * count; i++) if (motion.confidence[i]) return true;
  return false;
}

/** The box around the figures over all frames: where the camera looks at first. */
function boundsOf(figures) {
  const low = [Infinity, 0, Infinity], high = [-Infinity, 1, -Infinity];
  for (const { points } of figures) {
    const values = points.positions;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value < low[i % 3]) low[i % 3] = value;
      if (value > high[i % 3]) high[i % 3] = value;
    }
  }
  return low[0] > high[0] ? { low: [-1, 0, -1], high: [1, 1.7, 1] } : { low, high };
}

/** How wide the figures ever are around their own middle, in metres: the distance side by side depends on it. */
function spreadOf(figures) {
  let widest = 0.4;
  for (const { points } of figures) {
    const { positions, count, centre } = points;
    for (let offset = 0; offset < positions.length; offset += count * 3) {
      const x = centreOf(positions, offset, centre, 0), z = centreOf(positions, offset, centre, 2);
      for (let i = offset; i < offset + count * 3; i += 3) {
        const away = Math.hypot(positions[i] - x, positions[i + 2] - z);
        if (away > widest) widest = away;
      }
    }
  }
  return widest;
}
