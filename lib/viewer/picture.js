// The 2D keypoints in the picture: over the video's frames where there are any, else on plain ground around the person.

const AHEAD = 8, KEPT = 24; // pictures of the video that are decoded before they are due, and that are kept

/** The pictures of a video: decoded shortly before they are shown. */
class Film {
  constructor(video, scene, loaded) {
    this.jpegs = video.jpegs;
    this.images = new Array(video.jpegs.length);
    this.loaded = loaded;
    this.at = new Int32Array(scene.length); // frame of the scene -> the latest picture
    for (let frame = 0, picture = 0; frame < scene.length; frame++) {
      while (picture + 1 < video.numbers.length && video.numbers[picture + 1] <= scene.numbers[frame]) picture++;
      this.at[frame] = picture;
    }
    this.last = null;
  }

  /** The picture of a frame, or while it is being decoded, the one before. */
  of(frame) {
    const wanted = this.at[frame];
    for (let i = wanted; i <= Math.min(wanted + AHEAD, this.jpegs.length - 1); i++) this.images[i] ??= this.decode(i);
    for (const i of [wanted - KEPT, wanted + KEPT]) if (i >= 0 && i < this.images.length) this.images[i] = undefined;
    const image = this.images[wanted];
    if (image.complete && image.naturalWidth) this.last = image;
    return this.last;
  }

  decode(i) {
    const image = new Image();
    image.onload = this.loaded;
    image.src = `data:image/jpeg;base64,${this.jpegs[i]}`;
    return image;
  }
}

class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.film = null;
    this.figures = [];
    this.part = { x: 0, y: 0, width: 1, height: 1 }; // of the picture that is shown, in its pixels
  }

  show(figures, film) {
    this.figures = figures.filter((figure) => figure.column === 0); // models see the same keypoints
    this.film = film;
    const [width, height] = this.figures.length ? this.figures[0].motion.size : [1, 1];
    this.part = film ? { x: 0, y: 0, width, height } : aroundAll(this.figures, width, height);
  }

  resize(ratio) {
    this.width = Math.max(1, this.canvas.parentElement.clientWidth);
    this.height = Math.round(this.width * Math.min(1.25, this.part.height / this.part.width));
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.ratio = ratio;
  }

  draw(frame, palette, options) {
    const { context, part } = this;
    const zoom = Math.min(this.width / part.width, this.height / part.height);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = palette.ground;
    context.fillRect(0, 0, this.width, this.height);
    const left = (this.width - zoom * part.width) / 2 - zoom * part.x, top = (this.height - zoom * part.height) / 2 - zoom * part.y;
    const image = this.film && this.film.of(frame);
    const [wide, high] = this.figures.length ? this.figures[0].motion.size : [1, 1];
    if (image) context.drawImage(image, left, top, zoom * wide, zoom * high);
    else {
      context.strokeStyle = palette.faint;
      context.lineWidth = 1;
      context.strokeRect(left, top, zoom * wide, zoom * high);
    }
    context.lineCap = "round";
    const thick = this.width < 200 ? 2 : 3;
    for (const figure of this.figures) {
      const { motion } = figure, at = motion.at[frame];
      if (at < 0) continue;
      const { bones, sides, count } = motion.keypoints, { pixels } = motion, offset = at * count * 2;
      const colors = palette.shades[image && figure.shade === 0 ? 1 : figure.shade];
      for (let pass = 0; pass < 2; pass++) { // an edge, so that lines are seen on any picture
        for (let i = 0; i < bones.length; i++) {
          const a = offset + bones[i][0] * 2, b = offset + bones[i][1] * 2;
          if (!(pixels[a] + pixels[b] === pixels[a] + pixels[b])) continue; // not a number
          context.strokeStyle = pass ? colors[sides[bones[i][0]]].base : image ? "rgb(0 0 0 / .55)" : palette.ground;
          context.lineWidth = pass ? thick : thick + 2;
          context.beginPath();
          context.moveTo(left + zoom * pixels[a], top + zoom * pixels[a + 1]);
          context.lineTo(left + zoom * pixels[b], top + zoom * pixels[b + 1]);
          context.stroke();
        }
      }
      for (let point = 0; point < count; point++) {
        const x = pixels[offset + point * 2];
        if (!(x === x)) continue;
        const chosen = options.figure && options.figure.motion.person === motion.person && options.joint === point && options.figure.points.count === count;
        context.fillStyle = chosen ? palette.ink : colors[sides[point]].base;
        context.beginPath();
        context.arc(left + zoom * x, top + zoom * pixels[offset + point * 2 + 1], chosen ? thick + 2.5 : thick * 0.9, 0, 2 * Math.PI);
        context.fill();
      }
    }
  }
}

/** The part of the picture in which keypoints ever are, with a margin. */
function aroundAll(figures, width, height) {
  let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
  for (const { motion: { pixels } } of figures) {
    for (let i = 0; i < pixels.length; i += 2) {
      if (!(pixels[i] === pixels[i])) continue;
      left = Math.min(left, pixels[i]); right = Math.max(right, pixels[i]);
      top = Math.min(top, pixels[i + 1]); bottom = Math.max(bottom, pixels[i + 1]);
    }
  }
  if (left > right) return { x: 0, y: 0, width, height };
  // What is far outside of the picture is not worth showing all the rest smaller.
  left = Math.max(left, -0.05 * width); right = Math.min(right, 1.05 * width);
  top = Math.max(top, -0.05 * height); bottom = Math.min(bottom, 1.05 * height);
  const size = Math.max(right - left, bottom - top, 1) * 1.16;
  const wide = size, high = Math.max(size * 0.6, 1.16 * (bottom - top));
  return { x: (left + right - wide) / 2, y: (top + bottom - high) / 2, width: wide, height: high };
}
