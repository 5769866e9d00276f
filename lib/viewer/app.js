// The page: what is chosen and shown, and time.

const by = (id) => document.getElementById(id);
const DATA = JSON.parse(by("data").textContent);
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const darkness = matchMedia("(prefers-color-scheme: dark)");
const scenes = new Array(DATA.scenes.length); // decoded, once each is shown
const view = new View(by("view")), picture = new Picture(by("picture")), strip = new Strip(by("strip"));
const state = {
  scene: 0, frame: 0, time: 0, playing: false, speed: 1, person: null, model: null, points: "keypoints", measure: "error", wanted: null,
  loop: true, truth: true, uncertainty: false, follow: false, compare: true, trail: false, flat: true, theme: null,
  figure: null, joint: -1, // under the pointer
};
let palette = null, scene = null, figures = [], film = null, dirty = true, before = 0;
let shownFrame = -1, shownText = ""; // what the numbers were last written for
const pointer = { x: -1, y: -1, inside: false };
const found = { figure: null, joint: -1 };

// What is shown

function chooseScene(index) {
  state.scene = index;
  scene = scenes[index] ??= sceneOf(DATA.scenes[index]);
  state.person = state.model = null;
  state.points = scene.motions.some((motion) => motion.joints !== motion.keypoints && !motion.target) ? "joints" : "keypoints";
  film = scene.video ? new Film(scene.video, scene, () => { dirty = true; }) : null;
  by("scene").value = index;
  by("previous").disabled = by("next").disabled = DATA.scenes.length < 2;
  fill("person", scene.persons, (person) => `Person ${person}`, "Everybody");
  fill("model", scene.models, (model) => model || "unnamed", "All models");
  const [{ layout }] = scene.motions;
  by("points").replaceChildren(new Option(`${layout} keypoints`, "keypoints"), new Option("17 joints", "joints"));
  by("points").value = state.points;
  by("points-choice").hidden = scene.motions.every((motion) => motion.joints === motion.keypoints);
  by("scrub").max = scene.length - 1;
  chooseFigures();
  const { low, high } = view.bounds;
  const roomy = 4.5 * Math.min(1, view.width / view.height); // metres that one sees people well in
  set("follow", Math.hypot(high[0] - low[0], high[2] - low[2]) > roomy * (scene.persons.length > 1 ? 2.5 : 1));
  look("free");
  seek(0);
}

function fill(id, values, named, all) {
  by(id).replaceChildren(new Option(all, ""), ...values.map((value, index) => new Option(named(value), index)));
  by(`${id}-choice`).hidden = values.length < 2;
}

function chooseFigures() {
  figures = figuresOf(scene, state.person, state.model, state.points);
  state.figure = null;
  view.show(figures, state.compare);
  picture.show(figures, film);
  const known = Object.keys(MEASURES).filter((name) => figures.some(({ motion }) => MEASURES[name].has(motion)));
  state.measure = known.find((name) => name === state.wanted) ?? (known.includes("error") ? "error" : "confidence");
  by("measure").replaceChildren(...known.map((name) => new Option(MEASURES[name].label, name)));
  by("measure").value = state.measure;
  strip.show(scene, figures, state.measure);
  const truth = figures.some((figure) => figure.truth);
  by("truth").hidden = !truth;
  by("truth-legend").hidden = !truth || !state.truth;
  by("compare").hidden = figures.every((figure) => figure.columns < 2);
  showFacts();
  resize();
}

function showFacts() {
  const distinct = (of) => [...new Set(figures.map(({ motion }) => of(motion)))].filter(Boolean).join("; ");
  const facts = {
    Video: distinct((motion) => motion.name), Keypoints: distinct((motion) => motion.layout), Models: distinct((motion) => motion.model),
    Scale: distinct((motion) => motion.scale), Frames: `${scene.length} at ${+scene.fps.toFixed(2)} a second`,
  };
  const rows = Object.entries(facts).filter(([, text]) => text).map(([name, text]) => {
    const term = document.createElement("dt"), description = document.createElement("dd");
    term.textContent = name;
    description.textContent = text;
    return [term, description];
  });
  by("facts").replaceChildren(...rows.flat());
  const [width, height] = figures[0].motion.size;
  by("picture-caption").textContent = `${film ? "Video" : "2D keypoints"} · ${width} × ${height} pixels`;
}

/** Turn an option on or off; its button shows which. */
function set(name, on) {
  state[name] = on;
  by(name).setAttribute("aria-pressed", on);
  if (name === "flat") { by("picture-card").hidden = !on; resize(); }
  if (name === "compare" && scene) { view.show(figures, on); look("free"); }
  if (name === "truth") by("truth-legend").hidden = !on || by("truth").hidden;
  dirty = true;
}

function look(preset) {
  view.look(preset, !state.follow);
  dirty = true;
}

function chooseTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = theme ?? (darkness.matches ? "dark" : "light");
  palette = paletteOf(DATA.colors);
  resize();
}

function resize() {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  view.resize(ratio);
  if (scene) { picture.resize(ratio); strip.resize(ratio, palette); }
  shownFrame = -1;
  dirty = true;
}

// Time

function end() {
  return scene.times[scene.length - 1] + 1 / scene.fps;
}

function seek(frame) {
  state.frame = Math.max(0, Math.min(scene.length - 1, frame));
  state.time = scene.times[state.frame];
  dirty = true;
}

function play(on) {
  state.playing = on;
  if (on && state.frame === scene.length - 1) seek(0);
  by("play").classList.toggle("playing", on);
  by("play").setAttribute("aria-label", on ? "Pause" : "Play");
}

function advance(seconds) {
  state.time += seconds * state.speed;
  if (state.time >= end()) {
    if (state.loop) { state.time = scene.times[0]; state.frame = 0; }
    else { seek(scene.length - 1); play(false); return; }
  }
  const old = state.frame;
  while (state.frame + 1 < scene.length && scene.times[state.frame + 1] <= state.time + 1e-6) state.frame++;
  if (state.frame !== old || state.frame === 0) dirty = true;
}

function tick(now) {
  const seconds = Math.min(0.25, (now - before) / 1000);
  before = now;
  if (state.playing) advance(seconds);
  if (dirty) {
    dirty = false;
    view.draw(state.frame, palette, state);
    if (state.flat) picture.draw(state.frame, palette, state);
    strip.draw(state.frame, palette);
    showNumbers();
  }
  requestAnimationFrame(tick);
}


function showNumbers() {
  if (by("scrub").valueAsNumber !== state.frame) by("scrub").value = state.frame;
  by("scrub").style.setProperty("--done", `${100 * state.frame / Math.max(1, scene.length - 1)}%`);
  showTip();
  if (shownFrame === state.frame) return;
  shownFrame = state.frame;
  const time = `${scene.times[state.frame].toFixed(2)} s`, frame = `Frame ${scene.numbers[state.frame]}`;
  by("frame").textContent = frame;
  by("clock").textContent = `${time} of ${end().toFixed(2)} s`;
  by("scrub").setAttribute("aria-valuetext", `${frame}, ${time}`);
  const { unit } = MEASURES[state.measure];
  const text = strip.lines.slice(0, 3).map(({ figure, values, mean }) => {
    const now = values[state.frame];
    const number = now === now ? now.toFixed(0) : "–";
    return strip.lines.length > 1 ? `${figure.label} ${number} ${unit}` : `${number} now, mean ${mean.toFixed(0)} ${unit}`;
  }).join(" · ");
  if (text !== shownText) by("reading").textContent = shownText = text;
}

/** The joint under the pointer, with its numbers. */
function showTip() {
  if (pointer.inside) view.pick(pointer.x, pointer.y, pointer.touch ? 26 : 15, found);
  else found.figure = null;
  if (state.figure !== found.figure || (found.figure && state.joint !== found.joint)) {
    state.figure = found.figure;
    state.joint = found.joint;
    dirty = true; // the ring around it
  }
  const tip = by("tip");
  by("view").classList.toggle("pointing", found.figure !== null);
  tip.hidden = found.figure === null;
  if (tip.hidden) return;
  const { figure: { points, motion, frame, label }, joint } = found;
  const at = (frame * points.count + joint) * 3, same = points === motion.keypoints;
  const metres = [0, 1, 2].map((axis) => points.positions[at + axis].toFixed(2)).join("  ");
  const lines = [points.names[joint] + (label ? ` · ${label}` : ""), `x y z  ${metres} m`];
  lines.push(`stated error  ${(1000 * points.error[frame * points.count + joint]).toFixed(0)} mm`);
  const error = same && motion.target ? trueError(motion, frame, joint) : NaN;
  if (error === error) lines.push(`true error  ${error.toFixed(0)} mm`);
  if (same) lines.push(`confidence  ${MEASURES.confidence.of(motion, frame, joint).toFixed(0)} %`);
  if (!isDetected(motion, frame)) lines.push("not detected in this frame");
  tip.textContent = lines.join("\n");
  const x = found.figure.screen[joint * 3] + 18, y = found.figure.screen[joint * 3 + 1] - tip.offsetHeight / 2;
  const right = x + tip.offsetWidth + 8 > view.width ? x - tip.offsetWidth - 36 : x;
  tip.style.transform = `translate(${Math.max(8, right)}px, ${Math.max(8, Math.min(view.height - tip.offsetHeight - 8, y))}px)`;
}
