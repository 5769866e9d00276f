// The strip under the view: error, stated error or confidence over time. It is drawn once to a canvas of its own; from
// frame to frame only the line that marks the time is new.

const HEAD_ROOM = 16; // pixels, for the text of the scale

class Strip {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.still = document.createElement("canvas");
    this.lines = [];
    this.measure = "confidence";
  }

  /** The measure of every figure, by frames of the scene. */
  show(scene, figures, measure) {
    this.measure = measure;
    this.length = scene.length;
    this.lines = figures.filter(({ motion }) => MEASURES[measure].has(motion)).map((figure) => {
      const own = measured(figure.motion, measure), values = new Float32Array(scene.length);
      for (let frame = 0; frame < scene.length; frame++) {
        const at = figure.motion.at[frame];
        values[frame] = at < 0 || (measure !== "confidence" && !isDetected(figure.motion, at)) ? NaN : own[at];
      }
      return { figure, values, mean: meanOf(values) };
    });
    const highest = this.lines.reduce((most, { values }) => values.reduce((a, b) => (b > a ? b : a), most), 0);
    this.top = measure === "confidence" ? 100 : niceAbove(highest);
  }

  resize(ratio, palette) {
    this.width = Math.max(1, this.canvas.clientWidth);
    this.height = Math.max(1, this.canvas.clientHeight);
    this.ratio = ratio;
    for (const canvas of [this.canvas, this.still]) {
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
    }
    this.paint(this.still.getContext("2d"), palette);
  }

  x(frame) {
    return this.length > 1 ? frame / (this.length - 1) * this.width : this.width / 2;
  }

  y(value) {
    return this.height - 1 - Math.min(1, value / this.top) * (this.height - (this.height > 40 ? HEAD_ROOM : 4));
  }

  frameAt(x) {
    return Math.round(Math.max(0, Math.min(1, x / this.width)) * (this.length - 1));
  }

  /** Of the frames that share a column of pixels, the worst is drawn. */
  paint(context, palette) {
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.fillStyle = palette.faint;
    for (const part of [0, 0.5, 1]) context.fillRect(0, Math.round(this.y(part * this.top)), this.width, 1);
    const columns = Math.max(1, Math.min(this.length, Math.floor(this.width)));
    const worst = this.measure === "confidence" ? Math.min : Math.max;
    for (const { figure, values } of this.lines) {
      const color = this.lines.length > 1 ? palette.marks[figure.mark] : palette.accent;
      const line = new Path2D(), area = new Path2D();
      let down = false, x = 0;
      for (let column = 0; column <= columns; column++) {
        let value = NaN;
        const end = Math.max((column + 1) * this.length / columns, column * this.length / columns + 1);
        for (let frame = Math.floor(column * this.length / columns); column < columns && frame < Math.floor(end); frame++) {
          if (values[frame] === values[frame]) value = value === value ? worst(value, values[frame]) : values[frame];
        }
        if (value === value) {
          x = columns > 1 ? column / (columns - 1) * this.width : this.width / 2;
          if (!down) area.moveTo(x, this.height);
          line[down ? "lineTo" : "moveTo"](x, this.y(value));
          area.lineTo(x, this.y(value));
        } else if (down) {
          area.lineTo(x, this.height);
        }
        down = value === value;
      }
      context.fillStyle = context.strokeStyle = color;
      context.lineJoin = "round";
      context.lineWidth = 1.6;
      if (this.lines.length === 1) {
        context.globalAlpha = 0.16;
        context.fill(area);
        context.globalAlpha = 1;
      }
      context.stroke(line);
    }
    context.fillStyle = palette.soft;
    context.font = "10px system-ui, sans-serif";
    if (this.height > 40) context.fillText(`${this.top} ${MEASURES[this.measure].unit}`, 0, HEAD_ROOM - 5);
  }

  draw(frame, palette) {
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.still, 0, 0);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const x = Math.max(1, Math.min(this.width - 1, this.x(frame)));
    context.fillStyle = palette.ink;
    context.fillRect(x - 0.75, 0, 1.5, this.height);
    for (const { figure, values } of this.lines) {
      if (!(values[frame] === values[frame])) continue;
      context.fillStyle = this.lines.length > 1 ? palette.marks[figure.mark] : palette.accent;
      context.strokeStyle = palette.paper;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(Math.max(5, Math.min(this.width - 5, x)), Math.max(5, this.y(values[frame])), 4, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }
}

function meanOf(values) {
  let sum = 0, known = 0;
  for (const value of values) if (value === value) { sum += value; known++; }
  return known ? sum / known : NaN;
}

/** A round number that is not lower. */
function niceAbove(value) {
  for (let unit = 10; unit < 1e7; unit *= 10) for (const factor of [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]) if (unit * factor >= value) return unit * factor;
  return value;
}
