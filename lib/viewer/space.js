// Where the camera is, what it sees of a place, and the floor. Nothing is allocated while drawing: the place on the canvas
// of the last point that was projected is kept in an array.

const NEAR = 0.15; // metres before the camera: what is nearer is not drawn
const FIELD = 34 * Math.PI / 180; // of view, along the shorter side
const RINGS = 12; // in which the floor fades out
const STEEPEST = Math.PI / 2 - 0.001;

class Space {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.camera = { yaw: 0, pitch: 0, distance: 5, target: [0, 0.9, 0], pan: [0, 0, 0] };
    this.width = this.height = this.ratio = 1;
    this.bounds = { low: [-1, 0, -1], high: [1, 1.7, 1] }; // of all that is shown, in metres
    this.point = new Float32Array(3); // the last that was projected
  }

  resize(ratio) {
    this.width = Math.max(1, this.canvas.clientWidth);
    this.height = Math.max(1, this.canvas.clientHeight);
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.ratio = ratio;
  }

  orbit(dx, dy) {
    this.camera.yaw -= dx;
    this.camera.pitch = Math.max(-0.3, Math.min(STEEPEST, this.camera.pitch + dy));
  }

  zoom(factor) {
    this.camera.distance = Math.max(0.7, Math.min(80, this.camera.distance * factor));
  }

  /** Move what is looked at by pixels. */
  move(dx, dy) {
    const { camera } = this, metres = camera.distance / this.focal();
    const [sy, cy, sp, cp] = [Math.sin(camera.yaw), Math.cos(camera.yaw), Math.sin(camera.pitch), Math.cos(camera.pitch)];
    camera.pan[0] += metres * (-dx * cy - dy * sy * sp);
    camera.pan[1] += metres * dy * cp;
    camera.pan[2] += metres * (dx * sy - dy * cy * sp);
  }

  focal() {
    return Math.min(this.width, this.height) / 2 / Math.tan(FIELD / 2);
  }

  prepare() {
    const { yaw, pitch, target, pan } = this.camera;
    this.sy = Math.sin(yaw); this.cy = Math.cos(yaw); this.sp = Math.sin(pitch); this.cp = Math.cos(pitch);
    this.tx = target[0] + pan[0]; this.ty = target[1] + pan[1]; this.tz = target[2] + pan[2];
    this.f = this.focal();
  }

  /** Fills `point` with x and y on the canvas and pixels a metre; false if it is behind the camera. */
  project(x, y, z) {
    const dx = x - this.tx, dy = y - this.ty, dz = z - this.tz;
    const along = dx * this.sy + dz * this.cy; // towards the camera, on the level
    const depth = this.camera.distance - along * this.cp - dy * this.sp;
    if (!(depth > NEAR)) { this.point[2] = 0; return false; }
    const scale = this.f / depth;
    this.point[0] = this.width / 2 + scale * (dx * this.cy - dz * this.sy);
    this.point[1] = this.height / 2 - scale * (dy * this.cp - along * this.sp);
    this.point[2] = scale;
    return true;
  }

  /** A grid of half metres around what is looked at, which fades out in rings. */
  floor(palette, follow) {
    const { context, bounds: { low, high } } = this;
    const reach = Math.min(14, 2.2 + (follow ? 1 : Math.hypot(high[0] - low[0], high[2] - low[2]) / 2));
    const mx = follow ? this.camera.target[0] : (low[0] + high[0]) / 2;
    const mz = follow ? this.camera.target[2] : (low[2] + high[2]) / 2;
    const gap = reach > 8 ? 1 : 0.5;
    for (let ring = 0; ring < RINGS; ring++) {
      const inner = reach * ring / RINGS, outer = reach * (ring + 1) / RINGS;
      context.beginPath();
      for (let line = Math.ceil((mx - outer) / gap) * gap; line <= mx + outer; line += gap) this.chords(line - mx, inner, outer, mx, mz, true);
      for (let line = Math.ceil((mz - outer) / gap) * gap; line <= mz + outer; line += gap) this.chords(line - mz, inner, outer, mx, mz, false);
      context.globalAlpha = 0.75 * (1 - ring / RINGS) ** 1.3;
      context.strokeStyle = palette.grid;
      context.lineWidth = 1;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** The two parts of a line of the grid between two circles; `away` is its distance from their middle. */
  chords(away, inner, outer, mx, mz, alongZ) {
    const from = Math.sqrt(Math.max(0, inner * inner - away * away)), to = Math.sqrt(Math.max(0, outer * outer - away * away));
    if (to <= from) return;
    for (let sign = -1; sign <= 1; sign += 2) {
      const a = sign * from, b = sign * to;
      if (!(alongZ ? this.project(mx + away, 0, mz + a) : this.project(mx + a, 0, mz + away))) continue;
      const x = this.point[0], y = this.point[1];
      if (!(alongZ ? this.project(mx + away, 0, mz + b) : this.project(mx + b, 0, mz + away))) continue;
      this.context.moveTo(x, y);
      this.context.lineTo(this.point[0], this.point[1]);
    }
  }
}
