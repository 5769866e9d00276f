// The 3D view: figures as rounded limbs, the farthest first, with their shadows. Nothing is allocated from frame to frame:
// projected points and the order of drawing are kept in arrays.

const PRESETS = { free: [-0.6, 0.22], front: [0, 0.04], side: [-Math.PI / 2, 0.04], top: [0, STEEPEST] };
const SOFTNESS = 10; // strokes of a shadow

class View extends Space {
  constructor(canvas) {
    super(canvas);
    this.figures = [];
    this.order = []; // of drawing
  }

  /** Other figures, or another way to place them. */
  show(figures, sideBySide) {
    this.figures = figures;
    this.spacing = sideBySide ? 2 * Math.min(spreadOf(figures), 1.1) + 0.2 : 0;
    this.bounds = boundsOf(figures);
    this.order = [];
    figures.forEach((figure) => {
      figure.points.bones.forEach(([child, parent]) => this.order.push(item("bone", figure, child, parent)));
      figure.points.names.forEach((_, index) => this.order.push(item("joint", figure, index, index)));
      if (figure.points.torso.length) this.order.push(item("torso", figure, figure.points.torso[0], figure.points.torso[2]));
      if (figure.truth) {
        figure.motion.keypoints.bones.forEach(([child, parent]) => this.order.push(item("truth", figure, child, parent)));
      }
    });
  }

  /** Look from a preset's side at the middle of the motion, from as far as shows all of it, or a person and some floor. */
  look(preset, whole) {
    const { camera, bounds: { low, high } } = this;
    [camera.yaw, camera.pitch] = PRESETS[preset];
    for (let axis = 0; axis < 3; axis++) {
      camera.target[axis] = (low[axis] + high[axis]) / 2;
      camera.pan[axis] = 0;
    }
    const columns = this.figures.length ? this.figures[0].columns : 1;
    const tall = high[1] - Math.min(low[1], 0);
    const wide = (whole ? 0.85 * Math.hypot(high[0] - low[0], high[2] - low[2]) : 1.3) + (columns - 1) * this.spacing;
    const narrowest = Math.min(this.width, this.height);
    const room = { x: this.width / narrowest, y: (this.height - 60) / narrowest };
    const half = Math.max((tall + 0.35) / room.y, (wide + 0.3) / room.x) / 2;
    camera.distance = Math.min(60, half / Math.tan(FIELD / 2) + wide / 6);
  }

  /** Put the middle of the figures of this frame into the middle of the view. */
  follow() {
    let x = 0, z = 0, known = 0;
    for (const figure of this.figures) {
      if (figure.frame < 0) continue;
      const { positions, count, centre } = figure.points, offset = figure.frame * count * 3;
      x += centreOf(positions, offset, centre, 0);
      z += centreOf(positions, offset, centre, 2);
      known++;
    }
    if (known) { this.camera.target[0] = x / known; this.camera.target[2] = z / known; }
  }

  projectAll(values, offset, count, figure, into) {
    for (let i = 0; i < count * 3; i += 3) {
      const seen = this.project(values[offset + i] + figure.x, values[offset + i + 1], values[offset + i + 2] + figure.z);
      into[i] = this.point[0]; into[i + 1] = this.point[1]; into[i + 2] = seen ? this.point[2] : 0;
    }
  }

  /** Draw a frame of the scene. */
  draw(frame, palette, options) {
    const { context } = this;
    for (const figure of this.figures) {
      figure.frame = figure.motion.at[frame];
      figure.detected = figure.frame >= 0 && isDetected(figure.motion, figure.frame);
    }
    if (options.follow) this.follow();
    this.prepare();
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.lineCap = context.lineJoin = "round";
    for (const figure of this.figures) {
      const place = (figure.column - (figure.columns - 1) / 2) * this.spacing;
      figure.x = place * this.cy;
      figure.z = -place * this.sy;
      if (figure.frame < 0) continue;
      this.projectAll(figure.points.positions, figure.frame * figure.points.count * 3, figure.points.count, figure, figure.screen);
      if (figure.truth) {
        const { count } = figure.motion.keypoints;
        this.projectAll(figure.truth, figure.frame * count * 3, count, figure, figure.truthScreen);
      }
    }
    this.floor(palette, options.follow);
    for (const figure of this.figures) if (figure.frame >= 0) this.shadow(figure, palette);
    if (options.trail) for (const figure of this.figures) this.trail(figure, palette);
    this.sort();
    for (const part of this.order) {
      if (part.depth === Infinity || (part.kind === "truth" && !options.truth)) continue;
      context.globalAlpha = part.figure.detected ? 1 : 0.35;
      if (part.kind === "bone") this.bone(part, palette);
      else if (part.kind === "joint") this.joint(part, palette, options);
      else if (part.kind === "torso") this.torso(part.figure, palette);
      else this.truth(part, palette);
    }
    context.globalAlpha = 1;
    this.labels(palette);
  }

  /** The farthest first; from frame to frame little changes, which insertion sort is quickest at. */
  sort() {
    const { order } = this;
    for (const part of order) {
      const screen = part.kind === "truth" ? part.figure.truthScreen : part.figure.screen;
      const a = screen[part.a * 3 + 2], b = screen[part.b * 3 + 2];
      part.depth = part.figure.frame >= 0 && a > 0 && b > 0 ? 1 / a + 1 / b - part.nearer / this.f : Infinity;
    }
    for (let i = 1; i < order.length; i++) {
      const part = order[i];
      let j = i - 1;
      for (; j >= 0 && order[j].depth < part.depth; j--) order[j + 1] = order[j];
      order[j + 1] = part;
    }
  }

  bone({ figure, a, b }, palette) {
    const { screen, points } = figure, side = points.sides[a] || points.sides[b];
    const colors = palette.shades[figure.shade][points.sides[a]];
    const width = (side ? LIMB : TRUNK) * (screen[a * 3 + 2] + screen[b * 3 + 2]);
    this.line(screen, a, b, width + 2.5, colors.edge, 0);
    this.line(screen, a, b, width, colors.base, 0);
    this.line(screen, a, b, width * 0.3, colors.light, -width * 0.17);
  }

  line(screen, a, b, width, color, shift) {
    const { context } = this;
    context.strokeStyle = color;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(screen[a * 3] + shift, screen[a * 3 + 1] + shift);
    context.lineTo(screen[b * 3] + shift, screen[b * 3 + 1] + shift);
    context.stroke();
  }

  disc(x, y, radius, color) {
    const { context } = this;
    context.fillStyle = color;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  joint({ figure, a, head, tiny }, palette, options) {
    const { context } = this, { screen, points } = figure;
    const x = screen[a * 3], y = screen[a * 3 + 1], scale = screen[a * 3 + 2];
    const colors = palette.shades[figure.shade][points.sides[a]];
    const radius = scale * (head ? HEAD : tiny ? LIMB : JOINT);
    this.disc(x, y, radius + 1.2, colors.edge);
    this.disc(x, y, radius, colors.base);
    this.disc(x - radius * 0.28, y - radius * 0.28, radius * 0.42, colors.light);
    if (options.uncertainty) {
      const opaque = context.globalAlpha, ball = scale * points.error[figure.frame * points.count + a];
      if (ball > 0) {
        context.globalAlpha = opaque * 0.16;
        this.disc(x, y, ball, colors.base);
        context.globalAlpha = opaque * 0.5;
        context.strokeStyle = colors.base;
        context.lineWidth = 1;
        context.stroke();
        context.globalAlpha = opaque;
      }
    }
    if (options.joint === a && options.figure === figure) {
      context.strokeStyle = palette.ink;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, radius + 4, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  torso(figure, palette) {
    const { context } = this, { screen } = figure, [a, b, c, d] = figure.points.torso;
    const opaque = context.globalAlpha;
    context.globalAlpha = opaque * 0.2;
    context.fillStyle = palette.shades[figure.shade][0].base;
    context.beginPath();
    context.moveTo(screen[a * 3], screen[a * 3 + 1]);
    context.lineTo(screen[b * 3], screen[b * 3 + 1]);
    context.lineTo(screen[c * 3], screen[c * 3 + 1]);
    context.lineTo(screen[d * 3], screen[d * 3 + 1]);
    context.fill();
    context.globalAlpha = opaque;
  }

  truth({ figure, a, b }, palette) {
    const screen = figure.truthScreen, scale = (screen[a * 3 + 2] + screen[b * 3 + 2]) / 2; // so thin that limbs show
    this.line(screen, a, b, Math.max(2.2, scale * 0.02), palette.ground, 0);
    this.line(screen, a, b, Math.max(1.1, scale * 0.009), palette.truth, 0);
    this.disc(screen[a * 3], screen[a * 3 + 1], Math.max(1.6, scale * 0.012), palette.truth);
  }

  /** All limbs straight down on the floor, as one path: where shadows overlap they are not darker. */
  shadow(figure, palette) {
    const { context } = this, { positions, bones, count } = figure.points, offset = figure.frame * count * 3;
    if (this.camera.pitch < 0) return; // from below
    context.beginPath();
    let scale = 0;
    for (let i = 0; i < bones.length; i++) {
      const a = offset + bones[i][0] * 3, b = offset + bones[i][1] * 3;
      if (!this.project(positions[a] + figure.x, 0, positions[a + 2] + figure.z)) continue;
      const x = this.point[0], y = this.point[1];
      if (!this.project(positions[b] + figure.x, 0, positions[b + 2] + figure.z)) continue;
      context.moveTo(x, y);
      context.lineTo(this.point[0], this.point[1]);
      scale = this.point[2];
    }
    context.strokeStyle = palette.shadow;
    for (let pass = 1; pass <= SOFTNESS; pass++) { // soft at the edge
      context.globalAlpha = palette.shade / SOFTNESS;
      context.lineWidth = Math.max(1, scale * 0.15 * pass / SOFTNESS);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** Where the middle of the body goes over the whole motion, on the floor. */
  trail(figure, palette) {
    const { context } = this, { positions, count, centre } = figure.points;
    const step = Math.max(1, Math.floor(figure.motion.length / 2000));
    context.beginPath();
    let down = false;
    for (let frame = 0; frame < figure.motion.length; frame += step) {
      const offset = frame * count * 3;
      const x = centreOf(positions, offset, centre, 0), z = centreOf(positions, offset, centre, 2);
      if (!this.project(x + figure.x, 0, z + figure.z)) { down = false; continue; }
      if (down) context.lineTo(this.point[0], this.point[1]); else context.moveTo(this.point[0], this.point[1]);
      down = true;
    }
    context.strokeStyle = palette.marks[figure.mark];
    context.lineWidth = 2.5;
    context.stroke();
  }

  /** Who is who, above the heads, where there are several. */
  labels(palette) {
    const { context } = this;
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    for (const figure of this.figures) {
      if (!figure.label || figure.frame < 0) continue;
      let x = 0, top = Infinity;
      for (let i = 0; i < figure.points.count * 3; i += 3) {
        x += figure.screen[i] / figure.points.count;
        if (figure.screen[i + 1] < top) top = figure.screen[i + 1];
      }
      if (!this.spacing) top -= 28 * figure.column; // models that lie on each other
      context.strokeStyle = palette.sky;
      context.lineWidth = 4;
      context.strokeText(figure.label, x, top - 20);
      context.fillStyle = palette.ink;
      context.fillText(figure.label, x, top - 20);
      context.strokeStyle = palette.marks[figure.mark];
      context.lineWidth = 3;
      context.beginPath();
      context.moveTo(x - 12, top - 13);
      context.lineTo(x + 12, top - 13);
      context.stroke();
    }
  }

  /** The joint nearest to a place on the canvas, if any is near: fills and returns `found`. */
  pick(x, y, reach, found) {
    let best = reach * reach;
    found.figure = null;
    for (const figure of this.figures) {
      if (figure.frame < 0) continue;
      for (let joint = 0; joint < figure.points.count; joint++) {
        const { screen } = figure;
        if (!(screen[joint * 3 + 2] > 0)) continue;
        const away = (screen[joint * 3] - x) ** 2 + (screen[joint * 3 + 1] - y) ** 2;
        if (away < best) { best = away; found.figure = figure; found.joint = joint; }
      }
    }
    return found;
  }
}

function item(kind, figure, a, b) {
  const name = figure.points.names[a];
  return {
    kind, figure, a, b, depth: Infinity,
    head: kind === "joint" && name === "head",
    tiny: kind === "joint" && /eye|mouth|toe|heel|thumb|index|pinky|ear|nose/.test(name),
    nearer: { joint: 0.02, truth: 0.1, bone: 0, torso: -0.1 }[kind], // what of the same depth lies on top
  };
}
