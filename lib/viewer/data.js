"use strict";
// From the JSON in the page to typed arrays. A scene is decoded when it is first shown, and then kept.

const MISSING = 0xffff;

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes.buffer;
}

/** Values of `width` axes a point, one point after the other; NaN where a point is not known. */
function valuesOf(packed, width) {
  const codes = new Uint16Array(bytesOf(packed.data));
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    values[i] = codes[i] === MISSING ? NaN : packed.origin[i % width] + codes[i] * packed.step;
  }
  return values;
}

/** Points of one kind: the keypoints of the layout, or the joints of Human3.6M's skeleton. */
function pointsOf(packed) {
  return {
    names: packed.names, bones: packed.bones, sides: packed.sides, centre: packed.centre, torso: packed.torso,
    count: packed.names.length,
    positions: valuesOf(packed.positions, 3),
    error: valuesOf(packed.error, 1),
  };
}

function motionOf(packed, length) {
  const own = new Int32Array(bytesOf(packed.frames));
  const at = new Int32Array(length).fill(-1); // frame of the scene -> frame of the motion
  own.forEach((frame, index) => { at[frame] = index; });
  const keypoints = pointsOf(packed.keypoints);
  return {
    ...packed, at, length: own.length, keypoints,
    joints: packed.joints ? pointsOf(packed.joints) : keypoints,
    pixels: valuesOf(packed.pixels, 2),
    confidence: new Uint8Array(bytesOf(packed.confidence)),
    target: packed.target ? valuesOf(packed.target, 3) : null,
    measures: new Map(),
  };
}

function sceneOf(packed) {
  const numbers = new Int32Array(bytesOf(packed.numbers));
  const times = new Float64Array(bytesOf(packed.times));
  const motions = packed.motions.map((motion) => motionOf(motion, numbers.length));
  return {
    title: packed.title, fps: packed.fps, numbers, times, motions, length: numbers.length,
    persons: [...new Set(motions.map((motion) => motion.person))],
    models: [...new Set(motions.map((motion) => motion.model))],
    video: packed.video && packed.video.jpegs.length ? packed.video : null,
  };
}

/** The middle of a pose, which errors are measured from: the pelvis, or between the hips. */
function centreOf(values, offset, centre, axis) {
  let sum = 0;
  for (const point of centre) sum += values[offset + point * 3 + axis];
  return sum / centre.length;
}

/** How far a keypoint is from its true place in mm, with the pelvises one on the other; NaN where that is not known. */
function trueError(motion, frame, point) {
  const { positions, centre, count } = motion.keypoints;
  const offset = frame * count * 3;
  let sum = 0;
  for (let axis = 0; axis < 3; axis++) {
    const predicted = positions[offset + point * 3 + axis] - centreOf(positions, offset, centre, axis);
    const target = motion.target[offset + point * 3 + axis] - centreOf(motion.target, offset, centre, axis);
    sum += (predicted - target) ** 2;
  }
  return 1000 * Math.sqrt(sum);
}

const MEASURES = {
  error: {
    label: "Error, MPJPE", unit: "mm", has: (motion) => motion.target !== null,
    of: (motion, frame, point) => trueError(motion, frame, point),
  },
  stated: {
    label: "Stated error", unit: "mm", has: () => true,
    of: (motion, frame, point) => 1000 * motion.keypoints.error[frame * motion.keypoints.count + point],
  },
  confidence: {
    label: "Confidence", unit: "%", has: () => true,
    of: (motion, frame, point) => motion.confidence[frame * motion.keypoints.count + point] / 2.55,
  },
};

/** A measure of every frame of a motion, the mean over its keypoints; worked out once. */
function measured(motion, name) {
  if (!motion.measures.has(name)) {
    const values = new Float32Array(motion.length);
    for (let frame = 0; frame < motion.length; frame++) {
      let sum = 0, known = 0;
      for (let point = 0; point < motion.keypoints.count; point++) {
        const value = MEASURES[name].of(motion, frame, point);
        if (value === value) { sum += value; known++; }
      }
      values[frame] = known ? sum / known : NaN;
    }
    motion.measures.set(name, values);
  }
  return motion.measures.get(name);
}
